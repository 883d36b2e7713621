import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";
import {
  Capabilities,
  DigestFunction_Value,
  GetCapabilitiesRequestSchema,
  ServerCapabilitiesSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

export interface ForeignServerOptions {
  readonly credentials?: ServerCredentials;
  /** Asked of each call, if set. */
  readonly token?: string;
}

/**
 * Another REAPI server: it knows one instance, `theirs`, offers a cache and no execution, and of the cache implements
 * nothing. Returns its `host:port`.
 */
export async function startForeignServer(options: ForeignServerOptions = {}): Promise<string> {
  const server = new Server();
  server.addService(
    {
      getCapabilities: {
        path: `/${Capabilities.typeName}/GetCapabilities`,
        requestStream: false,
        responseStream: false,
        requestDeserialize: (bytes: Buffer) => fromBinary(GetCapabilitiesRequestSchema, bytes),
        requestSerialize: serializer(GetCapabilitiesRequestSchema),
        responseSerialize: serializer(ServerCapabilitiesSchema),
        responseDeserialize: (bytes: Buffer) => fromBinary(ServerCapabilitiesSchema, bytes),
      },
    },
    {
      getCapabilities: (
        { request, metadata }: ServerUnaryCall<{ instanceName: string }, unknown>,
        answer: sendUnaryData<MessageInitShape<typeof ServerCapabilitiesSchema>>,
      ) => {
        if (options.token !== undefined && metadata.get("authorization")[0] !== `Bearer ${options.token}`) {
          answer({ code: status.UNAUTHENTICATED, details: "who are you?" });
        } else if (request.instanceName !== "theirs") {
          answer({ code: status.INVALID_ARGUMENT, details: `no instance ${request.instanceName}` });
        } else {
          answer(null, {
            highApiVersion: { major: 2, minor: 3 },
            cacheCapabilities: {
              digestFunctions: [DigestFunction_Value.SHA256],
              actionCacheUpdateCapabilities: { updateEnabled: false },
            },
            executionCapabilities: { execEnabled: false },
          });
        }
      },
    },
  );
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", options.credentials ?? ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) resolve(port);
    else reject(error);
  });
  onTestFinished(() => {
    server.forceShutdown();
  });
  return `127.0.0.1:${await promise}`;
}

function serializer<Desc extends DescMessage>(schema: Desc): (message: MessageInitShape<Desc>) => Buffer {
  return (message) => Buffer.from(toBinary(schema, create(schema, message)));
}
