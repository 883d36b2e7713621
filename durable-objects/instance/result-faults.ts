import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import {
  type ActionResult,
  CommandSchema,
  type ExecutedActionMetadata,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { LeaseResult } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { ExecutionRequest } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { validateActionResult } from "../../src/action-cache/validate-action-result.ts";
import { declaredPaths, leadsDown } from "../../src/execution/output-paths.ts";
import { digestFromWire, requestDigestFunction } from "../../src/digest/digest.ts";

/** What protobuf allows of a Timestamp: the years 1 to 9999. */
const TIMESTAMP_SECONDS = { least: -62_135_596_800n, most: 253_402_300_799n };
const MAX_NANOS = 999_999_999;

/** What protobuf allows of a Duration: some 10,000 years. */
const MAX_DURATION_SECONDS = 315_576_000_000n;

/**
 * What makes a lease's result one that no honest agent sends, in words; undefined if there is nothing. A client writes the
 * outputs where the result says: so it may say only what the command declares, or what is within the working directory.
 */
export function faultOfResult(
  { actionResult, serverLogs }: LeaseResult,
  request: ExecutionRequest,
): string | undefined {
  try {
    const digestFunction = requestDigestFunction(request.digestFunction, request.actionDigest?.hash);
    for (const { digest } of Object.values(serverLogs)) digestFromWire(digestFunction, digest, "server_logs");
    if (actionResult === undefined) return undefined;
    validateActionResult(actionResult, digestFunction);
  } catch (error) {
    if (error instanceof ConnectError) return error.rawMessage;
    throw error;
  }
  const escaping = pathsOf(actionResult).find((path) => !leadsDown(path) && !declares(request, path));
  if (escaping !== undefined)
    return `output ${JSON.stringify(escaping.slice(0, 256))} is not one that the command declares`;
  return faultOfMetadata(actionResult.executionMetadata);
}

/** What makes metadata impossible; undefined if nothing does. */
export function faultOfMetadata(metadata: ExecutedActionMetadata | undefined): string | undefined {
  if (metadata === undefined) return undefined;
  const { virtualExecutionDuration: duration } = metadata;
  const timestamps = [
    metadata.queuedTimestamp,
    metadata.workerStartTimestamp,
    metadata.workerCompletedTimestamp,
    metadata.inputFetchStartTimestamp,
    metadata.inputFetchCompletedTimestamp,
    metadata.executionStartTimestamp,
    metadata.executionCompletedTimestamp,
    metadata.outputUploadStartTimestamp,
    metadata.outputUploadCompletedTimestamp,
  ];
  if (!timestamps.every(isTimestamp)) return "a timestamp of its execution_metadata is out of range";
  const durationFits =
    duration === undefined ||
    (duration.seconds >= 0n &&
      duration.seconds <= MAX_DURATION_SECONDS &&
      duration.nanos >= 0 &&
      duration.nanos <= MAX_NANOS);
  return durationFits ? undefined : "virtual_execution_duration is out of range";
}

function isTimestamp(timestamp: Timestamp | undefined): boolean {
  if (timestamp === undefined) return true;
  const { nanos, seconds } = timestamp;
  const { least, most } = TIMESTAMP_SECONDS;
  return seconds >= least && seconds <= most && nanos >= 0 && nanos <= MAX_NANOS;
}

function pathsOf({
  outputDirectories,
  outputFiles,
  outputFileSymlinks,
  outputDirectorySymlinks,
  outputSymlinks,
}: ActionResult): string[] {
  return [outputFiles, outputDirectories, outputFileSymlinks, outputDirectorySymlinks, outputSymlinks].flatMap(
    (outputs) => outputs.map(({ path }) => path),
  );
}

/** Whether the command wants this very path, which is not below the working directory. */
function declares({ command, outerOutputs }: ExecutionRequest, path: string): boolean {
  return outerOutputs.includes(path) || declaredPaths(fromBinary(CommandSchema, command)).includes(path);
}
