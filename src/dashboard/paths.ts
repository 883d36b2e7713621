import type { Digest } from "../digest/digest.ts";
import type { OperationName } from "../instance-object/operation-name.ts";
import { instanceSegment } from "../instance-segment.ts";

/** What shows the bytes of a blob as what they are. */
export type BlobPage = "actions" | "trees" | "output-trees" | "files";

/** The path of an instance's page; all pages of the instance begin with it. */
export function instancePath(instanceName: string): string {
  return `/ui/${instanceSegment(instanceName)}`;
}

export function agentsPath(instanceName: string): string {
  return `${instancePath(instanceName)}/agents`;
}

export function operationPath({ id, instanceName, shard }: OperationName): string {
  return `${instancePath(instanceName)}/operations/${shard}/${id}`;
}

/** @param id RequestMetadata.tool_invocation_id */
export function invocationPath(instanceName: string, id: string): string {
  return `${instancePath(instanceName)}/invocations/${encodeURIComponent(id)}`;
}

/** @param below a path within a tree, or the name of a file */
export function blobPath(instanceName: string, page: BlobPage, digest: Digest, below = ""): string {
  const { digestFunction, hash, sizeBytes } = digest;
  const path = `${instancePath(instanceName)}/${page}/${digestFunction.name}/${hash}/${sizeBytes}`;
  return below === "" ? path : `${path}/${below.split("/").map(encodeURIComponent).join("/")}`;
}
