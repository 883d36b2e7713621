import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ActionResult,
  DigestFunction_Value,
  ExecuteOperationMetadataSchema,
  ExecuteResponseSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { OperationSchema } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { OutputRequest_Stream } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import {
  OutputEvent_State as State,
  OutputEventSchema,
  ReadOutputSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { Caller } from "../access/caller.ts";
import { digestFromWire, requestDigestFunction } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { unavailableError } from "../errors/unavailable.ts";
import { callInstance, locateOperation, unknownOperationError } from "../instance-object/instance-objects.ts";
import { ObjectSocket } from "../instance-object/object-socket.ts";
import type { OperationName } from "../instance-object/operation-name.ts";
import { Reconnects } from "../instance-object/reconnects.ts";
import { openCallOf } from "../memory/open-calls.ts";
import { serveInstance } from "../served-instance.ts";
import type { OutputStream } from "./operation-message.ts";

const MESSAGES = { incoming: OutputEventSchema, outgoing: ReadOutputSchema };
const STREAMS = { stdout: OutputRequest_Stream.STDOUT, stderr: OutputRequest_Stream.STDERR };

const CHUNK_BYTES = 256 << 10;

/** A command may be quiet for long. Asking again after this covers an answer that was lost with an agent's connection. */
const ASK_AGAIN_AFTER_MS = 20_000;

/**
 * What an action writes to one of its streams, from `offset` on: as it is written while the action runs, and the rest from
 * its result. Ends when all of it was read.
 *
 * @throws ConnectError NOT_FOUND if the operation is not known, UNAVAILABLE if the attempt that was read is lost, or if too
 * much is being read
 */
export async function* liveOutput(
  env: Env,
  caller: Caller,
  operationName: string,
  stream: OutputStream,
  offset: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const operation = locateOperation(env, caller, operationName, "see-operations");
  const release = await openCallOf(CHUNK_BYTES, caller.name);
  try {
    yield* outputOf(env, operationName, operation, stream, offset, signal);
  } finally {
    release();
  }
}

async function* outputOf(
  env: Env,
  operationName: string,
  operation: OperationName,
  stream: OutputStream,
  offset: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reconnects = new Reconnects();
  let readBytes = offset;
  while (!signal.aborted) {
    const socket = await ObjectSocket.open(env, operation, `/output/${operation.id}`, MESSAGES, signal);
    try {
      let answered = true;
      while (socket !== undefined) {
        if (answered) socket.send({ stream: STREAMS[stream], offset: BigInt(readBytes), limit: CHUNK_BYTES });
        const event = await socket.next(ASK_AGAIN_AFTER_MS);
        if (event === undefined) break;
        reconnects.succeeded();
        answered = event === "late" || event.state !== State.UNSPECIFIED || event.offset === BigInt(readBytes);
        if (event === "late" || !answered) continue;
        if (event.state === State.LOST) {
          throw unavailableError(
            "the attempt whose output this was is lost; read the next one from its beginning",
            1000,
          );
        }
        if (event.state === State.UNKNOWN) throw unknownOperationError(operationName);
        if (event.state === State.ENDED) {
          yield* writtenOutput(env, operationName, operation, stream, readBytes);
          return;
        }
        readBytes += event.data.length;
        yield event.data;
      }
    } finally {
      socket?.close();
    }
    await reconnects.failed(signal);
  }
}

/** The rest of an ended operation's output. */
async function* writtenOutput(
  env: Env,
  operationName: string,
  operation: OperationName,
  stream: OutputStream,
  offsetBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const bytes = await callInstance(env, operation, (stub) => stub.getOperation(operation.id));
  if (bytes === undefined) throw unknownOperationError(operationName);
  const { metadata, result } = fromBinary(OperationSchema, bytes);
  const response = result.case === "response" ? anyUnpack(result.value, ExecuteResponseSchema) : undefined;
  const { digest, raw } = resultOutput(response?.result, stream);
  if (raw.length > offsetBytes) yield raw.subarray(offsetBytes);
  if (raw.length > 0 || digest === undefined) return;

  const instance = serveInstance(env, operation.instanceName);
  const named = metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema)?.digestFunction;
  const value = named ?? DigestFunction_Value.UNKNOWN;
  const digestFunction = requestDigestFunction(value, digest.hash, instance.digestFunctions);
  const blob = digestFromWire(digestFunction, digest, stream);
  if (offsetBytes >= blob.sizeBytes) return;
  const rest = await instance.blobs.read(blob, { offsetBytes });
  if (rest === undefined)
    throw new ConnectError(`${stream} of ${operationName} is no longer in the CAS`, Code.NotFound);
  yield* rest;
}

function resultOutput(result: ActionResult | undefined, stream: OutputStream) {
  return stream === "stdout"
    ? { digest: result?.stdoutDigest, raw: result?.stdoutRaw ?? new Uint8Array() }
    : { digest: result?.stderrDigest, raw: result?.stderrRaw ?? new Uint8Array() };
}
