import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type ActionResult,
  DigestFunction_Value,
  type ExecutedActionMetadata,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { Code } from "../../protos/gen/google/rpc/code_pb.ts";
import type { Status } from "../../protos/gen/google/rpc/status_pb.ts";
import type { KnownExecution } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type Digest, digestFromWire, requestDigestFunction } from "../digest/digest.ts";
import type { InstanceShard } from "../instance-object/operation-name.ts";
import { operationPath } from "./paths.ts";

/**
 * - `queued`, `running`: live;
 * - `succeeded`: exit code 0; `failed`: another one, or its time limit;
 * - `refused`: it never gave a result; `cancelled`: nobody wanted one any more.
 */
export type ExecutionState = "queued" | "running" | "succeeded" | "failed" | "refused" | "cancelled";

/** An execution as pages show it. */
export interface ExecutionView {
  readonly known: KnownExecution;
  /** The page of its first operation. */
  readonly path: string;
  readonly state: ExecutionState;
  /** In a few words: `exit code 1`, `DEADLINE_EXCEEDED`, … */
  readonly outcome: string;
  /** What people know the action by: its target, else its first output, else its hash. */
  readonly title: string;
  /** The output that tells it from other actions of its target; empty if the title says it already. */
  readonly subtitle: string;
  readonly mnemonic: string;
  readonly invocationId: string;
  readonly agentName: string;
  readonly queuedAtMs: number;
  /** Of the last lease. */
  readonly leasedAtMs: number | undefined;
  readonly endedAtMs: number | undefined;
  readonly result: ActionResult | undefined;
  /** What became of it, where that is no result, or one with a flaw. */
  readonly status: Status | undefined;
  readonly metadata: ExecutedActionMetadata | undefined;
}

/** @param ownError how the operation itself ended, if it did before its execution */
export function executionView(shard: InstanceShard, known: KnownExecution, ownError?: Status): ExecutionView {
  const { progress, record, request } = known;
  const end = record?.end?.result;
  const response = end?.case === "response" ? end.value : undefined;
  const status = ownError ?? (end?.case === "error" ? end.value : response?.status);
  const result = response?.result;
  const metadata = result?.executionMetadata ?? progress;
  const { actionMnemonic = "", targetId = "" } = request?.requestMetadata ?? {};
  const primaryOutput = request?.primaryOutput ?? "";
  const hash = request?.actionDigest?.hash ?? "";
  const title = targetId || withoutBazelRoot(primaryOutput) || `action ${hash.slice(0, 12)}`;
  return {
    known,
    path: operationPath({ ...shard, id: known.executionId }),
    state: stateOf(known, result, status),
    outcome: outcomeOf(known, result, status),
    title,
    subtitle: targetId === "" ? "" : withoutBazelRoot(primaryOutput),
    mnemonic: actionMnemonic,
    invocationId: record?.toolInvocationId ?? "",
    agentName: record?.lease?.agentName ?? metadata?.worker ?? "",
    queuedAtMs: msOf(record?.queuedTimestamp) ?? 0,
    leasedAtMs: msOf(record?.lease?.startTimestamp) ?? msOf(metadata?.workerStartTimestamp),
    endedAtMs: msOf(record?.end?.timestamp),
    result,
    status,
    metadata,
  };
}

/** @throws ConnectError INVALID_ARGUMENT if the execution has none, which none has */
export function actionDigestOf({ request }: KnownExecution): Digest {
  const { actionDigest, digestFunction = DigestFunction_Value.UNKNOWN } = request ?? {};
  return digestFromWire(requestDigestFunction(digestFunction, actionDigest?.hash), actionDigest, "action_digest");
}

export function msOf(timestamp: Timestamp | undefined): number | undefined {
  return timestamp && timestampMs(timestamp);
}

export function isLive({ state }: Pick<ExecutionView, "state">): boolean {
  return state === "queued" || state === "running";
}

/** `bazel-out/k8-fastbuild/bin/app/main.o` is `app/main.o` to people. */
function withoutBazelRoot(path: string): string {
  return path.replace(/^bazel-out\/[^/]+\/(?:bin\/)?/, "");
}

/** The name of a gRPC code. */
export function codeText(code: number): string {
  return code in Code ? String(Code[code]) : `code ${code}`;
}

function stateOf({ record }: KnownExecution, result?: ActionResult, status?: Status): ExecutionState {
  if (status?.code === Code.CANCELLED) return "cancelled";
  if (record?.end === undefined && status === undefined) return record?.lease === undefined ? "queued" : "running";
  if (result !== undefined) return result.exitCode === 0 && status === undefined ? "succeeded" : "failed";
  return status?.code === Code.DEADLINE_EXCEEDED ? "failed" : "refused";
}

function outcomeOf(known: KnownExecution, result?: ActionResult, status?: Status): string {
  if (status !== undefined) return codeText(status.code);
  if (result !== undefined) return `exit code ${result.exitCode}`;
  return known.record?.end === undefined ? "" : "ended";
}
