import { create } from "@bufbuild/protobuf";
import {
  ActionResultSchema,
  type ActionResult,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestToWire } from "../../src/digest/digest.ts";
import { uploadBlobs } from "../blobs/upload-blobs.ts";
import { collectOutputs } from "../outputs/collect-outputs.ts";
import { takeOutputStream } from "../outputs/output-streams.ts";
import type { CommandEnd, CommandRun } from "../runner/messages.ts";
import type { Machine } from "./machine.ts";
import type { ReadyAction } from "./set-up-inputs.ts";

/**
 * Stores what a command left and wrote, and describes it; the caller adds the execution metadata.
 * @throws Refusal
 */
export async function storeOutputs(
  action: ReadyAction,
  { stdoutPath, stderrPath }: Pick<CommandRun, "stdoutPath" | "stderrPath">,
  end: CommandEnd,
  { cas, files, work }: Machine,
  signal: AbortSignal,
): Promise<ActionResult> {
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
    await uploadBlobs(cas, [stdout, stderr, ...uploads], signal);
    return create(ActionResultSchema, {
      ...outputs,
      exitCode: end.exitCode,
      stdoutDigest: digestToWire(stdout.digest),
      stderrDigest: digestToWire(stderr.digest),
    });
  } finally {
    pins.release();
  }
}
