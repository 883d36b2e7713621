import type { ActionResult } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { DigestFunction } from "../../digest/digest-function.ts";
import { digestFromWire } from "../../digest/digest.ts";
import { blobPath } from "../paths.ts";
import { sizeText } from "./text.ts";

export interface OutputsTableProps {
  readonly result: ActionResult;
  readonly instanceName: string;
  readonly digestFunction: DigestFunction;
}

interface Output {
  readonly path: string;
  readonly kind: string;
  readonly size: string;
  readonly href: string | undefined;
}

/** What an action has put out, with links to look into it. */
export function OutputsTable(props: OutputsTableProps) {
  const outputs = outputsOf(props);
  if (outputs.length === 0) return <p class="none">It has put out nothing.</p>;
  return (
    <div class="scroll" role="group" aria-label="Outputs" tabindex={0}>
      <table class="files">
        <thead>
          <tr>
            <th scope="col">Path</th>
            <th scope="col" class="wide">
              Kind
            </th>
            <th scope="col" class="number">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {outputs.map(({ href, kind, path, size }) => (
            <tr>
              <th scope="row">{href === undefined ? path : <a href={href}>{path}</a>}</th>
              <td class="wide quiet">{kind}</td>
              <td class="number">{size}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function outputsOf({ digestFunction, instanceName, result }: OutputsTableProps): Output[] {
  const links = [...result.outputSymlinks, ...result.outputFileSymlinks, ...result.outputDirectorySymlinks];
  return [
    ...result.outputFiles.map(({ digest, isExecutable, path }) => {
      const parsed = digestFromWire(digestFunction, digest, path);
      return {
        path,
        kind: isExecutable ? "executable" : "file",
        size: sizeText(parsed.sizeBytes),
        href: blobPath(instanceName, "files", parsed, path.slice(path.lastIndexOf("/") + 1)),
      };
    }),
    ...result.outputDirectories.map(({ path, rootDirectoryDigest, treeDigest }) => {
      const href =
        treeDigest !== undefined
          ? blobPath(instanceName, "output-trees", digestFromWire(digestFunction, treeDigest, path))
          : rootDirectoryDigest &&
            blobPath(instanceName, "trees", digestFromWire(digestFunction, rootDirectoryDigest, path));
      return { path: path || ".", kind: "directory", size: "", href };
    }),
    ...Map.groupBy(links, ({ path }) => path)
      .values()
      .map(([link]) => ({ path: link?.path ?? "", kind: `link to ${link?.target ?? ""}`, size: "", href: undefined })),
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
}
