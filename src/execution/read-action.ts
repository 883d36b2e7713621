import { create, type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ActionSchema,
  type Command,
  CommandSchema,
  type RequestMetadata,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { type ExecutionRequest, ExecutionRequestSchema } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { SchedulerConfig } from "../config/schema.ts";
import { type Digest, digestFromWire, digestKey, digestToWire } from "../digest/digest.ts";
import { missingBlobsError } from "../errors/missing-blobs.ts";
import type { ServedInstance } from "../served-instance.ts";
import { declaredPaths, leadsDown } from "./output-paths.ts";
import { validateCommand } from "./validate-command.ts";
import { validatePlatform } from "./validate-platform.ts";

/** An Action or a Command that is larger is refused: both are read whole, and no real one comes near. */
const MAX_MESSAGE_BYTES = 16 << 20;

/** Both together travel to the scheduler, and lie in one of its rows, up to this size; a larger pair the agent reads itself. */
const MAX_CARRIED_BYTES = 512 << 10;

/** What is kept of outputs beyond the working directory where the command is not. */
const MAX_OUTER_OUTPUTS_LENGTH = 256 << 10;

const MAX_PRIMARY_OUTPUT_LENGTH = 1024;

/**
 * Reads an action and its command, and makes of them what the scheduler queues.
 *
 * @throws ConnectError NOT_FOUND (or what missing_action_code says) if the action is not in the CAS, FAILED_PRECONDITION if its command isn't (both with a
 * PreconditionFailure), INVALID_ARGUMENT if either makes no sense or asks for more time than the scheduler allows.
 */
export async function readAction(
  instance: ServedInstance,
  actionDigest: Digest,
  policyTimeout: Duration | undefined,
  requestMetadata: RequestMetadata | undefined,
): Promise<ExecutionRequest> {
  const { blobs, config } = instance;
  const { digestFunction } = actionDigest;
  const actionBytes = await readMessage(instance, actionDigest, "action");
  if (actionBytes === undefined) {
    const notFound = config.scheduler.missing_action_code === "NOT_FOUND";
    throw missingBlobsError([actionDigest], notFound ? Code.NotFound : Code.FailedPrecondition);
  }
  const action = parse(ActionSchema, actionBytes, `action ${digestKey(actionDigest)} is not an Action message`);

  const inputRootDigest = digestFromWire(digestFunction, action.inputRootDigest, "Action.input_root_digest");
  const commandDigest = digestFromWire(digestFunction, action.commandDigest, "Action.command_digest");
  const commandBytes = await readMessage(instance, commandDigest, "command");
  if (commandBytes === undefined) {
    const missing = await blobs.findMissing([commandDigest, inputRootDigest]);
    throw missingBlobsError(missing.length > 0 ? missing : [commandDigest]);
  }
  const command = parse(CommandSchema, commandBytes, `command ${digestKey(commandDigest)} is not a Command message`);
  validateCommand(command);

  const request = create(ExecutionRequestSchema, {
    instanceName: config.name,
    digestFunction: digestFunction.value,
    actionDigest: digestToWire(actionDigest),
    inputRootDigest: digestToWire(inputRootDigest),
    timeout: durationFromMs(timeoutMs(action.timeout, policyTimeout, config.scheduler)),
    doNotCache: action.doNotCache,
    primaryOutput: primaryOutput(command).slice(0, MAX_PRIMARY_OUTPUT_LENGTH),
  });
  if (actionBytes.length + commandBytes.length <= MAX_CARRIED_BYTES) {
    request.action = actionBytes;
    request.command = commandBytes;
  } else {
    request.outerOutputs = outerOutputs(command);
  }
  // REAPI: Action.platform is to be preferred; Command.platform is from before 2.2, which older Bazels speak.
  const platform = action.platform ?? command.platform;
  if (platform !== undefined) {
    validatePlatform(platform);
    request.platform = platform;
  }
  if (requestMetadata !== undefined) request.requestMetadata = requestMetadata;
  return request;
}

function primaryOutput(command: Command): string {
  return declaredPaths(command)[0] ?? "";
}

/** @throws ConnectError INVALID_ARGUMENT if they are more than the queue keeps */
function outerOutputs(command: Command): string[] {
  const paths = declaredPaths(command).filter((path) => !leadsDown(path));
  const length = paths.reduce((sum, path) => sum + path.length, 0);
  if (length <= MAX_OUTER_OUTPUTS_LENGTH) return paths;
  throw new ConnectError(
    `the paths of ${paths.length} outputs that are not below the working directory have ${length} characters, and ` +
      `${MAX_OUTER_OUTPUTS_LENGTH} is the limit: declare a directory instead`,
    Code.InvalidArgument,
  );
}

/** The smaller of the limits that the request sets, or the scheduler's default. */
function timeoutMs(action: Duration | undefined, policy: Duration | undefined, config: SchedulerConfig): number {
  const asked = [
    { field: "Action.timeout", duration: action },
    { field: "execution_policy.timeout", duration: policy },
  ].flatMap(({ field, duration }) => (duration === undefined ? [] : { field, ms: durationMs(duration) }));
  const [least] = asked.sort((a, b) => a.ms - b.ms);
  if (least === undefined) return config.default_action_timeout_s * 1000;
  if (least.ms <= 0) {
    throw new ConnectError(`${least.field} is ${least.ms / 1000} s; a time limit is more than 0`, Code.InvalidArgument);
  }
  if (least.ms > config.max_action_timeout_s * 1000) {
    throw new ConnectError(
      `${least.field} is ${least.ms / 1000} s, and the scheduler allows at most ${config.max_action_timeout_s} s ` +
        `(max_action_timeout_s)`,
      Code.InvalidArgument,
    );
  }
  return least.ms;
}

async function readMessage({ blobs }: ServedInstance, digest: Digest, what: string): Promise<Uint8Array | undefined> {
  if (digest.sizeBytes > MAX_MESSAGE_BYTES) {
    throw new ConnectError(
      `${what} ${digestKey(digest)} is larger than the ${MAX_MESSAGE_BYTES} bytes that are read`,
      Code.InvalidArgument,
    );
  }
  const [bytes] = await blobs.readBatch([digest]);
  return bytes;
}

function parse<T extends DescMessage>(schema: T, bytes: Uint8Array, complaint: string): MessageShape<T> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new ConnectError(complaint, Code.InvalidArgument, undefined, undefined, error);
  }
}
