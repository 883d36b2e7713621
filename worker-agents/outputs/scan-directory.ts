import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Upload } from "../blobs/upload-blobs.ts";
import { forEachConcurrently } from "../concurrency.ts";
import { portableTarget } from "../operating-system.ts";
import { invalidArgument, Refusal } from "../refusal.ts";
import type { ScannedDirectory } from "./directory-tree.ts";
import { nodePropertiesOf, type NodeProperties } from "./node-properties.ts";
import { takeOutputFile, type OutputFileContext } from "./output-files.ts";

const FILES_AT_ONCE = 32;

/** More entries than this in one output directory are refused. */
const MAX_ENTRIES = 1_000_000;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads a directory and all below it, and takes its files into the cache. What is neither file, directory nor symlink
 * (sockets, pipes, devices) is left out: REAPI has no way to say it.
 * @param path where it is, symlinks followed
 * @param pathFromRoot how to call it in messages
 * @throws Refusal INVALID_ARGUMENT for a name that is not UTF-8, RESOURCE_EXHAUSTED for too many entries
 */
export async function scanDirectory(
  path: string,
  pathFromRoot: string,
  context: OutputFileContext,
  signal: AbortSignal,
): Promise<{ readonly directory: ScannedDirectory; readonly uploads: readonly Upload[] }> {
  const root = new Scanned();
  const asked = async (place: string): Promise<{ readonly nodeProperties?: NodeProperties }> => {
    const nodeProperties = await nodePropertiesOf(place, context.nodeProperties);
    return nodeProperties === undefined ? {} : { nodeProperties };
  };
  const files: { readonly path: string; readonly name: string; readonly parent: Scanned }[] = [];
  const open = [{ path, pathFromRoot, directory: root }];
  let entries = 0;
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    signal.throwIfAborted();
    const own = await nodePropertiesOf(next.path, context.nodeProperties);
    if (own !== undefined) next.directory.nodeProperties = own;
    for (const entry of await readdir(next.path, { withFileTypes: true, encoding: "buffer" })) {
      if (++entries > MAX_ENTRIES) throw tooMany(pathFromRoot);
      const name = decode(entry.name, next.pathFromRoot);
      const child = { path: join(next.path, name), pathFromRoot: `${next.pathFromRoot}/${name}` };
      if (entry.isDirectory()) {
        const directory = new Scanned();
        next.directory.directories.push({ name, directory });
        open.push({ ...child, directory });
      } else if (entry.isSymbolicLink()) {
        const target = await readSymlink(child.path, child.pathFromRoot);
        next.directory.symlinks.push({ name, target, ...(await asked(child.path)) });
      } else if (entry.isFile()) {
        files.push({ path: child.path, name, parent: next.directory });
      }
    }
  }
  const uploads: Upload[] = [];
  await forEachConcurrently(files, FILES_AT_ONCE, async ({ path, name, parent }) => {
    signal.throwIfAborted();
    const { digest, source, isExecutable } = await takeOutputFile(path, await lstat(path), context);
    parent.files.push({ name, digest, isExecutable, ...(await asked(path)) });
    uploads.push({ digest, source });
  });
  return { directory: root, uploads };
}

/** The target of a symlink. @throws Refusal INVALID_ARGUMENT if it is not UTF-8 */
export async function readSymlink(path: string, pathFromRoot: string): Promise<string> {
  return portableTarget(decode(await readlink(path, { encoding: "buffer" }), pathFromRoot));
}

class Scanned implements ScannedDirectory {
  readonly files: ScannedDirectory["files"][number][] = [];
  readonly directories: ScannedDirectory["directories"][number][] = [];
  readonly symlinks: ScannedDirectory["symlinks"][number][] = [];
  nodeProperties?: NodeProperties;
}

function decode(bytes: Uint8Array, pathFromRoot: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalidArgument(`output ${pathFromRoot}: "${Buffer.from(bytes).toString("latin1")}" there is not UTF-8`);
  }
}

function tooMany(pathFromRoot: string): Refusal {
  const message = `output ${pathFromRoot} has more than ${MAX_ENTRIES} files, directories and symlinks`;
  return new Refusal(new ConnectError(message, Code.ResourceExhausted));
}
