import { timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { ExecutedActionMetadata } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { exitText } from "../runner/exit-code.ts";
import type { MemoryShortage } from "../runner/memory-shortage.ts";
import type { CommandEnd } from "../runner/messages.ts";
import { commandTimeoutMs, mayUseNetwork, resourceLimits } from "./command-run.ts";
import type { Machine } from "./machine.ts";
import type { ReadyAction } from "./set-up-inputs.ts";

/** The key of the log in ExecuteResponse.server_logs, which clients show to people. */
export const ATTEMPT_LOG = "agent";

const MEMORY_SHORTAGE_TEXTS = {
  command: "killed at its limit of memory",
  machine: "killed since the machine had no memory left",
} satisfies Record<MemoryShortage, string>;

export interface Attempt {
  readonly lease: Lease;
  readonly action: ReadyAction;
  readonly end: CommandEnd;
  /** With its times up to the command's end. */
  readonly metadata: ExecutedActionMetadata;
  /** Why no persistent worker did what it had been hired for. */
  readonly workerFailure: string | undefined;
}

/**
 * What somebody wants to know of an action that failed and can't see in what it wrote: where and how it ran, and what ended
 * it. REAPI: "execution-specific logs … to debug issues that may be outside of the actual job execution". It holds no
 * values of the machine's environment, which may be secret.
 */
export function attemptLog(attempt: Attempt, machine: Machine): string {
  const { action, end, lease, metadata, workerFailure } = attempt;
  const lines = [
    `agent: ${machine.name}, ${process.platform} ${process.arch}`,
    `attempt: ${Math.max(1, lease.attempt)}, ${seconds(metadata.queuedTimestamp, metadata.workerStartTimestamp)} after it was queued`,
    `sandbox: ${sandboxText(action, machine)}`,
    `limits: ${limitsText(attempt, machine)}`,
    ...(machine.entrypoint === undefined ? [] : [`entrypoint: ${machine.entrypoint}`]),
    ...environmentLine(machine),
    `working directory: ${action.workingDirectory}`,
    `inputs: set up in ${seconds(metadata.inputFetchStartTimestamp, metadata.inputFetchCompletedTimestamp)}`,
    ...(workerFailure === undefined ? [] : [`command run by itself, since ${workerFailure}`]),
    `command: ${action.hired === undefined ? "ran" : "done by a persistent worker"} for ${Math.round(end.durationMs) / 1000} s, ${endText(end, machine)}`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function sandboxText(action: ReadyAction, machine: Machine): string {
  if (machine.sandbox === undefined) return "none, the command saw all that the agent sees";
  return `bubblewrap, with${mayUseNetwork(action, machine) ? "" : "out"} network`;
}

function limitsText({ action, lease }: Attempt, machine: Machine): string {
  const { cpus, memoryBytes } = resourceLimits(action.properties);
  const { bounds } = machine.runner;
  return [
    `${commandTimeoutMs(lease, machine) / 1000} s`,
    `${machine.limits.maxStdioBytes} bytes of output`,
    ...(cpus === undefined ? [] : [`${cpus} CPUs${asFarAs(bounds.includes("cpu"))}`]),
    ...(memoryBytes === undefined ? [] : [`${memoryBytes / 1024} KiB of memory${asFarAs(bounds.includes("memory"))}`]),
  ].join(", ");
}

function asFarAs(isHeld: boolean): string {
  return isHeld ? "" : " (asked for, but this agent has no control groups that hold it to that)";
}

function environmentLine({ additionalEnvironment }: Machine): string[] {
  const names = Object.keys(additionalEnvironment);
  return names.length === 0 ? [] : [`environment: beside what it declares, the machine's ${names.join(", ")}`];
}

function endText({ exitCode, memoryShortage, timedOut }: CommandEnd, { runner }: Machine): string {
  if (timedOut) return "then it was killed at its time limit";
  if (memoryShortage !== undefined) return `exit code ${exitCode}, ${MEMORY_SHORTAGE_TEXTS[memoryShortage]}`;
  return exitText(exitCode, runner.bounds.includes("memory"));
}

function seconds(from: Timestamp | undefined, to: Timestamp | undefined): string {
  return from === undefined || to === undefined ? "some time" : `${(timestampMs(to) - timestampMs(from)) / 1000} s`;
}
