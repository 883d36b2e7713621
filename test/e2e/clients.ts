import type { MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { expect } from "vitest";
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  ExecuteOperationMetadataSchema,
  type ExecuteRequestSchema,
  type ExecuteResponse,
  ExecuteResponseSchema,
  Execution,
  type ExecutionStage_Value,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { type Operation, Operations } from "../../protos/gen/google/longrunning/operations_pb.ts";
import type { Blob, PreparedAction } from "./action.ts";

export const INSTANCE = "main";

/** A client of each service. */
export interface Clients {
  readonly capabilities: Client<typeof Capabilities>;
  readonly cas: Client<typeof ContentAddressableStorage>;
  readonly byteStream: Client<typeof ByteStream>;
  readonly actionCache: Client<typeof ActionCache>;
  readonly execution: Client<typeof Execution>;
  readonly operations: Client<typeof Operations>;
}

export function clientsOver(transport: Transport): Clients {
  return {
    capabilities: createClient(Capabilities, transport),
    cas: createClient(ContentAddressableStorage, transport),
    byteStream: createClient(ByteStream, transport),
    actionCache: createClient(ActionCache, transport),
    execution: createClient(Execution, transport),
    operations: createClient(Operations, transport),
  };
}

export async function upload({ cas }: Clients, blobs: readonly Blob[]): Promise<void> {
  const { responses } = await cas.batchUpdateBlobs({
    instanceName: INSTANCE,
    requests: blobs.map(({ digest, data }) => ({ digest, data })),
  });
  expect(responses.map(({ status }) => status?.code ?? 0)).toEqual(blobs.map(() => 0));
}

/** What Execute or WaitExecution streamed, in order. */
export interface Execution {
  readonly operations: readonly Operation[];
  readonly name: string;
  readonly stages: readonly (ExecutionStage_Value | undefined)[];
  /** Of the last operation, which alone may be done. */
  readonly response: ExecuteResponse;
}

/** Uploads an action with all it needs and executes it to the end. */
export async function execute(
  clients: Clients,
  action: PreparedAction,
  request: Omit<MessageInitShape<typeof ExecuteRequestSchema>, "$typeName"> = {},
): Promise<Execution> {
  await upload(clients, action.blobs);
  return toTheEnd(
    clients.execution.execute({ instanceName: INSTANCE, actionDigest: action.digest, inlineStdout: true, ...request }),
  );
}

export async function toTheEnd(stream: AsyncIterable<Operation>): Promise<Execution> {
  const operations: Operation[] = [];
  for await (const operation of stream) operations.push(operation);
  const last = operations.at(-1);
  expect(operations.map(({ done }) => done)).toEqual(operations.map((operation) => operation === last));
  const response = last && executeResponse(last);
  if (last === undefined || response === undefined) throw new Error("the stream ended without a response");
  return { operations, name: last.name, stages: operations.map(stageOf), response };
}

export function executeResponse({ result }: Operation): ExecuteResponse | undefined {
  return result.case === "response" ? anyUnpack(result.value, ExecuteResponseSchema) : undefined;
}

export function stageOf({ metadata }: Operation): ExecutionStage_Value | undefined {
  return metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema)?.stage;
}
