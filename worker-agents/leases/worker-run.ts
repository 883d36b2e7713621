import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import type { Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { placedFiles, type InputTree } from "../inputs/input-tree.ts";
import type { InputFile } from "../inputs/input-directory.ts";
import { materializeTree } from "../inputs/materialize-tree.ts";
import { expandFlagFiles } from "../persistent-workers/flag-files.ts";
import { WorkerTimeout, type PersistentWorker } from "../persistent-workers/persistent-worker.ts";
import { clearWorkerRoot } from "../persistent-workers/worker-root.ts";
import { workerSpec, type WorkerSpec } from "../persistent-workers/worker-spec.ts";
import type { CommandEnd } from "../runner/messages.ts";
import { commandRun, commandTimeoutMs } from "./command-run.ts";
import type { OutputFiles } from "./live-output.ts";
import type { Machine } from "./machine.ts";
import type { ReadyAction } from "./set-up-inputs.ts";

/** What a shell reports for a process that was killed: 128 + SIGKILL. */
const EXIT_KILLED = 137;

/** Files of arguments larger than this, all together, are left for the worker to read. */
const MAX_FLAG_FILE_BYTES = 16 * 1024 * 1024;

/** A persistent worker that an action has to itself, and what it is to do. */
export interface HiredWorker {
  readonly worker: PersistentWorker;
  readonly spec: WorkerSpec;
  /** The request's arguments, from its files of arguments. */
  readonly arguments: readonly string[];
  readonly inputs: readonly { readonly path: string; readonly digest: Uint8Array }[];
}

/**
 * Takes a worker for the action, if it is for one and one can be had, and lays the inputs out in its root.
 * @param files of the tree, pinned
 */
export async function hireWorker(
  action: Parameters<typeof workerSpec>[0],
  tree: InputTree,
  { files, persistentWorkers, placement }: Machine,
  signal: AbortSignal,
): Promise<HiredWorker | undefined> {
  const spec = persistentWorkers === undefined ? undefined : workerSpec(action, tree);
  const worker = spec && persistentWorkers?.take(spec.key);
  if (spec === undefined || worker === undefined) return undefined;
  try {
    const own = { tools: spec.tools, workingDirectory: action.workingDirectoryFromRoot };
    const present = worker.isStarted ? await clearWorkerRoot(worker.root, own) : undefined;
    await materializeTree(tree, worker.root, files, placement, signal, present && { present });
    const byPath = new Map<string, InputFile>();
    for (const [path, file] of placedFiles(tree)) byPath.set(path, file);
    const fromWorkingDirectory = (path: string): string => posix.relative(own.workingDirectory, path);
    let flagFileBytes = 0;
    return {
      worker,
      spec,
      // Only files of the tree, and as they are in the cache: what a path leads to on disk may be none of the action's.
      arguments: await expandFlagFiles(spec.flagFiles, async (name) => {
        const file = posix.isAbsolute(name) ? undefined : byPath.get(posix.join(own.workingDirectory, name));
        flagFileBytes += file?.digest.sizeBytes ?? 0;
        if (file === undefined || flagFileBytes > MAX_FLAG_FILE_BYTES) return undefined;
        return file.digest.sizeBytes === 0 ? "" : await readFile(files.pathOf(file), "utf8");
      }),
      inputs: [...byPath].map(([path, { digest }]) => ({
        path: fromWorkingDirectory(path),
        digest: Buffer.from(digest.hash),
      })),
    };
  } catch (error) {
    worker.kill("its inputs could not be set up");
    persistentWorkers?.release(worker);
    throw error;
  }
}

/**
 * Has the action done by its worker, which is started if need be. What it says goes to stderr, as with Bazel.
 * @throws WorkerFailure, or the signal's reason
 */
export async function runInWorker(
  lease: Lease,
  action: ReadyAction,
  { worker, spec, arguments: given, inputs }: HiredWorker,
  outputFiles: OutputFiles,
  machine: Machine,
  signal: AbortSignal,
): Promise<CommandEnd> {
  const startedAtMs = Date.now();
  const startedAt = performance.now();
  if (!worker.isStarted) {
    const streams = { stdoutPath: join(worker.directory, "stdout"), stderrPath: join(worker.directory, "stderr") };
    const startup = { ...action, arguments: spec.startupArguments };
    const run = await commandRun(lease, startup, worker.directory, streams, machine);
    machine.logger.debug({ leaseId: lease.leaseId, worker: spec.key }, "starting a persistent worker");
    worker.start({ ...run, timeoutMs: Number.MAX_SAFE_INTEGER }, spec.protocol);
  }
  let timedOut = false;
  let said = { exitCode: EXIT_KILLED, output: "" };
  try {
    said = await worker.request(
      { arguments: [...given], inputs: [...inputs] },
      { timeoutMs: commandTimeoutMs(lease, machine), takesCancellation: spec.takesCancellation, signal },
    );
  } catch (error) {
    if (!(error instanceof WorkerTimeout)) throw error;
    timedOut = true;
  }
  const output = Buffer.from(said.output);
  if (output.length > 0) {
    await mkdir(dirname(outputFiles.stderrPath), { recursive: true });
    await writeFile(outputFiles.stderrPath, output, { flag: "wx" });
  }
  return {
    exitCode: said.exitCode,
    timedOut,
    startedAtMs,
    endedAtMs: Date.now(),
    durationMs: performance.now() - startedAt,
    stdoutBytes: 0,
    stderrBytes: output.length,
  };
}
