import { create } from "@bufbuild/protobuf";
import {
  ActionResultSchema,
  type ActionResult,
  LogFileSchema,
  type LogFile,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestToWire } from "../../src/digest/digest.ts";
import { uploadBlobs } from "../blobs/upload-blobs.ts";
import { collectOutputs } from "../outputs/collect-outputs.ts";
import { digestOf } from "../outputs/digest-of.ts";
import { takeOutputStream } from "../outputs/output-streams.ts";
import type { CommandEnd, CommandRun } from "../runner/messages.ts";
import { ATTEMPT_LOG } from "./attempt-log.ts";
import type { Machine } from "./machine.ts";
import type { ReadyAction } from "./set-up-inputs.ts";

/** What the client gets of a command that has ended. */
export interface StoredOutputs {
  /** Without the execution metadata. */
  readonly actionResult: ActionResult;
  /** ExecuteResponse.server_logs. */
  readonly serverLogs: Readonly<Record<string, LogFile>>;
}

/**
 * Stores what a command left and wrote, and describes it.
 * @param log what people may want to know beside that
 * @throws Refusal
 */
export async function storeOutputs(
  action: ReadyAction,
  { stdoutPath, stderrPath }: Pick<CommandRun, "stdoutPath" | "stderrPath">,
  end: CommandEnd,
  { cas, files, work }: Machine,
  log: string | undefined,
  signal: AbortSignal,
): Promise<StoredOutputs> {
  const { digestFunction } = action;
  const pins = files.newPins();
  try {
    const [stdout, stderr, { uploads, ...outputs }] = await Promise.all([
      takeOutputStream(stdoutPath, end.stdoutBytes, digestFunction),
      takeOutputStream(stderrPath, end.stderrBytes, digestFunction),
      collectOutputs(
        action.outputs,
        {
          digestFunction,
          work,
          cache: files,
          pins,
          realRoot: action.root,
          format: action.command.outputDirectoryFormat,
          nodeProperties: action.command.outputNodeProperties,
          // A command that failed has told what matters by its exit code.
          strict: end.exitCode === 0,
        },
        signal,
      ),
    ]);
    const logBytes = Buffer.from(log ?? "");
    const logs = log === undefined ? [] : [{ digest: digestOf(digestFunction, logBytes), source: logBytes }];
    await uploadBlobs(cas, [stdout, stderr, ...logs, ...uploads], signal);
    return {
      actionResult: create(ActionResultSchema, {
        ...outputs,
        exitCode: end.exitCode,
        stdoutDigest: digestToWire(stdout.digest),
        stderrDigest: digestToWire(stderr.digest),
      }),
      serverLogs: Object.fromEntries(
        logs.map(({ digest }) => [
          ATTEMPT_LOG,
          create(LogFileSchema, { digest: digestToWire(digest), humanReadable: true }),
        ]),
      ),
    };
  } finally {
    pins.release();
  }
}
