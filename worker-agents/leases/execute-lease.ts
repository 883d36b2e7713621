import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import {
  ActionResultSchema,
  ExecutedActionMetadataSchema,
  type ExecutedActionMetadata,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  LeaseProgress_Phase as Phase,
  LeaseResult_Outcome as Outcome,
  LeaseResultSchema,
  type Lease,
  type LeaseResult,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { DiskFullError } from "../disk-space.ts";
import { WorkerFailure, type PersistentWorker } from "../persistent-workers/persistent-worker.ts";
import type { CommandEnd } from "../runner/messages.ts";
import { errorMessage } from "../system-error.ts";
import { withTimeLimit } from "../time-limit.ts";
import { attemptLog } from "./attempt-log.ts";
import { commandRun, commandTimeoutMs, runCommand } from "./command-run.ts";
import { failedResult } from "./lease-outcome.ts";
import type { Machine } from "./machine.ts";
import type { OutputFiles } from "./live-output.ts";
import { setUpInputs, type ReadyAction } from "./set-up-inputs.ts";
import { storeOutputs, type StoredOutputs } from "./store-outputs.ts";
import { runInWorker } from "./worker-run.ts";

/** From here on, an exit code is that of something that was killed, or may have been. */
const EXIT_SIGNALLED = 128;

/** Told of each phase as it begins. `metadata` is filled in as the lease goes on. */
export type OnPhase = (phase: Phase, metadata: ExecutedActionMetadata) => void;

/**
 * Runs the action of a lease: sets its inputs up, runs its command, stores its outputs. Never throws: what goes wrong is
 * the result.
 * @param signal its reason is an Interruption
 */
export async function executeLease(
  lease: Lease,
  machine: Machine,
  onPhase: OnPhase,
  signal: AbortSignal,
): Promise<LeaseResult> {
  const { limits, work } = machine;
  const metadata = create(ExecutedActionMetadataSchema, { worker: machine.name, workerStartTimestamp: now() });
  if (lease.queuedTimestamp !== undefined) metadata.queuedTimestamp = lease.queuedTimestamp;
  const attempt = work.newAttempt();
  const outputFiles = { stdoutPath: join(attempt, "stdout"), stderrPath: join(attempt, "stderr") };
  // Before the command runs: whoever asks early waits for its files rather than being told that there is nothing.
  machine.liveOutput.begin(lease.leaseId, outputFiles);
  let phase = "setting up the inputs";
  const inUse = new Set<PersistentWorker>();
  /** What has ended by itself, and so with all its processes. */
  let spent: ReadyAction | undefined;
  let isOver = false;
  const setUp = (mayHire: boolean): Promise<ReadyAction> =>
    withTimeLimit(limits.inputFetchTimeoutMs, signal, async (limited) => {
      const ready = await setUpInputs(lease, attempt, machine, mayHire, limited);
      if (ready.hired === undefined) return ready;
      // It may have been left to itself, and nobody have waited for it any more.
      if (isOver) machine.persistentWorkers?.release(ready.hired.worker);
      else inUse.add(ready.hired.worker);
      return ready;
    });
  try {
    if (lease.instanceName !== machine.instanceName) {
      throw new Error(`the lease is of instance "${lease.instanceName}", the agent of "${machine.instanceName}"`);
    }
    metadata.inputFetchStartTimestamp = now();
    onPhase(Phase.FETCHING_INPUTS, metadata);
    let action = await setUp(true);
    metadata.inputFetchCompletedTimestamp = now();

    phase = "running the command";
    onPhase(Phase.EXECUTING, metadata);
    const done = await doneByWorker(lease, action, outputFiles, machine, signal);
    let end: CommandEnd;
    if (done !== undefined && !(done instanceof WorkerFailure)) {
      end = done;
    } else {
      if (action.hired !== undefined) action = await setUp(false);
      end = await runCommand(await commandRun(lease, action, attempt, outputFiles, machine), machine, signal);
    }
    if (action.hired === undefined && !end.timedOut && end.exitCode < EXIT_SIGNALLED) spent = action;
    machine.liveOutput.end(lease.leaseId);
    if (end.exitCode !== 0 && !end.timedOut) await requireDiskSpace(machine);
    metadata.executionStartTimestamp = timestampFromMs(end.startedAtMs);
    metadata.executionCompletedTimestamp = timestampFromMs(end.endedAtMs);
    metadata.virtualExecutionDuration = durationFromMs(Math.round(end.durationMs));

    phase = "storing the outputs";
    metadata.outputUploadStartTimestamp = now();
    onPhase(Phase.UPLOADING_OUTPUTS, metadata);
    const ready = action;
    const workerFailure = done instanceof WorkerFailure ? done.message : undefined;
    const failed = end.timedOut || end.exitCode !== 0;
    const log = failed ? attemptLog({ lease, action, end, metadata, workerFailure }, machine) : undefined;
    const store = withTimeLimit(limits.outputUploadTimeoutMs, signal, (limited) =>
      storeOutputs(ready, outputFiles, end, machine, log, limited),
    );
    const { actionResult, serverLogs } = await (end.timedOut
      ? store.catch(withoutOutputs(lease, end, machine))
      : store);
    metadata.outputUploadCompletedTimestamp = now();
    metadata.workerCompletedTimestamp = now();
    actionResult.executionMetadata = metadata;
    return create(LeaseResultSchema, {
      leaseId: lease.leaseId,
      actionResult,
      serverLogs,
      cache: machine.files.usage,
      ...(end.timedOut
        ? { outcome: Outcome.TIMED_OUT, status: timedOut(commandTimeoutMs(lease, machine)) }
        : { outcome: Outcome.COMPLETED }),
    });
  } catch (error) {
    machine.disk.failed(error);
    return failedResult(lease.leaseId, phase, signal.aborted ? signal.reason : error);
  } finally {
    isOver = true;
    machine.liveOutput.end(lease.leaseId);
    for (const worker of inUse) machine.persistentWorkers?.release(worker);
    work.discard(attempt, spent && machine.laidOut?.keep(spent.root, spent.tree, spent.usedAt));
  }
}

/** The end of an action that a persistent worker has done; undefined if none was to, and its failure if it can't. */
async function doneByWorker(
  lease: Lease,
  action: ReadyAction,
  outputFiles: OutputFiles,
  machine: Machine,
  signal: AbortSignal,
): Promise<CommandEnd | WorkerFailure | undefined> {
  const { hired } = action;
  if (hired === undefined) return undefined;
  try {
    return await runInWorker(lease, action, hired, outputFiles, machine, signal);
  } catch (error) {
    if (!(error instanceof WorkerFailure)) throw error;
    machine.persistentWorkers?.failed(hired.worker);
    machine.logger.warn({ leaseId: lease.leaseId, error: error.message }, "running the action without its worker");
    return error;
  }
}

/** @throws DiskFullError if a command that failed may have done so for want of space */
async function requireDiskSpace({ disk }: Machine): Promise<void> {
  await disk.check();
  if (disk.full) throw new DiskFullError("the command failed with no space left");
}

/** That a command ran out of time is to be told even if what it wrote could not be stored. */
function withoutOutputs({ leaseId }: Lease, { exitCode }: CommandEnd, { logger }: Machine) {
  return (error: unknown): StoredOutputs => {
    logger.warn({ leaseId, error: errorMessage(error) }, "cannot store the outputs of an action that timed out");
    return { actionResult: create(ActionResultSchema, { exitCode }), serverLogs: {} };
  };
}

function timedOut(timeoutMs: number): { readonly code: Code; readonly message: string } {
  return {
    code: Code.DeadlineExceeded,
    message: `the command was killed at its time limit of ${timeoutMs / 1000} s`,
  };
}

function now(): Timestamp {
  return timestampFromMs(Date.now());
}
