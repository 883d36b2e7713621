import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { PlatformProperty } from "../platform-properties.ts";
import type { ResourceLimits } from "../runner/control-groups.ts";
import type { CommandEnd, CommandRun } from "../runner/messages.ts";
import { withAdditional } from "./command-environment.ts";
import type { OutputFiles } from "./live-output.ts";
import type { Machine } from "./machine.ts";
import type { ReadyAction } from "./set-up-inputs.ts";

/**
 * How this machine runs an action's command.
 * @param attempt the directory of this attempt
 */
export async function commandRun(
  lease: Lease,
  action: ReadyAction,
  attempt: string,
  outputFiles: OutputFiles,
  machine: Machine,
): Promise<CommandRun> {
  const { additionalEnvironment, entrypoint, limits, sandbox } = machine;
  const run = {
    arguments: entrypoint === undefined ? action.arguments : [entrypoint, ...action.arguments],
    program: action.arguments[0] ?? "",
    environment: withAdditional(action.environment, additionalEnvironment),
    workingDirectory: action.workingDirectory,
    ownDirectory: attempt,
    ...outputFiles,
    timeoutMs: commandTimeoutMs(lease, machine),
    maxStdioBytes: limits.maxStdioBytes,
    resources: resourceLimits(action.properties),
  };
  if (sandbox === undefined) return run;
  const { root } = action;
  const temporary = join(attempt, "tmp");
  await mkdir(temporary);
  const network = mayUseNetwork(action, machine);
  return { ...run, arguments: sandbox.wrap({ ...run, root, temporary, network }), workingDirectory: root };
}

/** Runs it to its end. @throws RunnerError, SandboxError */
export async function runCommand(
  run: CommandRun,
  { runner, sandbox }: Machine,
  signal: AbortSignal,
): Promise<CommandEnd> {
  const end = await runner.run(run, signal);
  if (sandbox === undefined) return end;
  return { ...end, exitCode: await sandbox.exitCode(end.exitCode, run.stderrPath, end.stderrBytes) };
}

/** The time limit of the command itself. */
export function commandTimeoutMs({ timeout }: Lease, { limits }: Machine): number {
  const timeoutMs = timeout === undefined ? 0 : durationMs(timeout);
  return timeoutMs > 0 ? timeoutMs : limits.commandTimeoutMs;
}

/** More is as good as no bound, and no number that the kernel takes. A scheduler that ignores a property lets any pass. */
const MOST_CPUS = 1_000_000;
const MOST_MEMORY_KIB = 10 ** 12;

/** What the action asks for by the minimum properties that agents offer by themselves is also the most that it gets. */
export function resourceLimits(properties: readonly PlatformProperty[]): ResourceLimits {
  const amount = (name: string): number => {
    // As the scheduler has it: the highest, if there are several.
    const values = properties.filter((property) => property.name === name).map(({ value }) => Number(value));
    return Math.max(0, ...values.filter(Number.isFinite));
  };
  const cpus = Math.min(amount("cpu_count"), MOST_CPUS);
  // The kernel takes whole bytes only, and people read whole KiB.
  const memoryKib = Math.min(Math.ceil(amount("memory_kb")), MOST_MEMORY_KIB);
  return { ...(cpus > 0 && { cpus }), ...(memoryKib > 0 && { memoryBytes: memoryKib * 1024 }) };
}

/** Whether a command in the sandbox has a network: by a platform property that both the action and the machine must have. */
export function mayUseNetwork(action: Pick<ReadyAction, "properties">, machine: Pick<Machine, "properties">): boolean {
  return allowsNetwork(action.properties) && allowsNetwork(machine.properties);
}

function allowsNetwork(properties: readonly PlatformProperty[]): boolean {
  return properties.some(({ name, value }) => name === "network" && value === "allow");
}
