import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  DigestSchema,
  type Digest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { CONNECTION_PER_CALL } from "../connection-per-call.ts";
import { ByteStream, type WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";

export interface Clients {
  readonly capabilities: Client<typeof Capabilities>;
  readonly cas: Client<typeof ContentAddressableStorage>;
  readonly byteStream: Client<typeof ByteStream>;
  readonly actionCache: Client<typeof ActionCache>;
}

/** Each way of speaking to the Worker. */
export const PROTOCOLS: readonly { readonly name: string; readonly connect: (url: string) => Transport }[] = [
  true,
  false,
].flatMap((useBinaryFormat) => {
  const format = useBinaryFormat ? "binary" : "JSON";
  return [
    {
      name: `gRPC-Web, ${format}`,
      connect: (baseUrl: string) => createGrpcWebTransport({ baseUrl, ...CONNECTION_PER_CALL, useBinaryFormat }),
    },
    {
      name: `Connect, ${format}`,
      connect: (baseUrl: string) => createConnectTransport({ baseUrl, ...CONNECTION_PER_CALL, useBinaryFormat }),
    },
  ];
});

/** Clients that speak gRPC-Web in binary, as the bridge does. */
export function connectClients(
  url: string,
  transport: Transport = createGrpcWebTransport({ baseUrl: url, ...CONNECTION_PER_CALL }),
): Clients {
  return {
    capabilities: createClient(Capabilities, transport),
    cas: createClient(ContentAddressableStorage, transport),
    byteStream: createClient(ByteStream, transport),
    actionCache: createClient(ActionCache, transport),
  };
}

/** The SHA-256 digest of `bytes`. */
export function digestOf(bytes: Uint8Array): Digest {
  const hash = createHash("sha256").update(bytes).digest("hex");
  return create(DigestSchema, { hash, sizeBytes: BigInt(bytes.length) });
}

/** How a call ends that is refused. */
export async function refusalOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error("the call was not refused");
}

/** The code of a call that is refused. */
export async function codeOf(call: Promise<unknown>): Promise<string | undefined> {
  return Code[(await refusalOf(call)).code];
}

/** Every message of a stream. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const messages: T[] = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

export type WriteMessage = MessageInitShape<typeof WriteRequestSchema>;

/** The messages of a Write of `bytes` from `offsetBytes` on. */
export function* writeRequests(
  resourceName: string,
  bytes: Uint8Array,
  { offsetBytes = 0, chunkBytes = 64 << 10, finish = true } = {},
): Generator<WriteMessage> {
  let offset = offsetBytes;
  do {
    const data = bytes.subarray(offset, offset + chunkBytes);
    const end = offset + data.length;
    yield { resourceName, writeOffset: BigInt(offset), data, finishWrite: finish && end === bytes.length };
    offset = end;
  } while (offset < bytes.length);
}

/** `messages` as the stream of a call. */
// eslint-disable-next-line @typescript-eslint/require-await
export async function* streamOf<T>(messages: Iterable<T>): AsyncGenerator<T> {
  yield* messages;
}
