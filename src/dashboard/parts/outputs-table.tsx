import type { ActionResult } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { DigestFunction } from "../../digest/digest-function.ts";
import { digestFromWire } from "../../digest/digest.ts";
import { blobPath } from "../paths.ts";
import { type FileRow, FilesTable } from "./files-table.tsx";
import { sizeText } from "./text.ts";

export interface OutputsTableProps {
  readonly result: ActionResult;
  readonly instanceName: string;
  readonly digestFunction: DigestFunction;
}

/** What an action has put out, with links to look into it. */
export function OutputsTable(props: OutputsTableProps) {
  const outputs = outputsOf(props);
  if (outputs.length === 0) return <p class="none">It has put out nothing.</p>;
  return <FilesTable label="Outputs" heading="Path" rows={outputs} />;
}

function outputsOf({ digestFunction, instanceName, result }: OutputsTableProps): FileRow[] {
  const links = [...result.outputSymlinks, ...result.outputFileSymlinks, ...result.outputDirectorySymlinks];
  return [
    ...result.outputFiles.map(({ digest, isExecutable, path }) => {
      const parsed = digestFromWire(digestFunction, digest, path);
      return {
        name: path,
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
      return { name: path || ".", kind: "directory", size: "", href };
    }),
    ...Map.groupBy(links, ({ path }) => path)
      .values()
      .map(([link]) => ({ name: link?.path ?? "", kind: `link to ${link?.target ?? ""}`, size: "", href: undefined })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
}
