import http2 from "node:http2";
import { Readable } from "node:stream";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { RequestMetadataSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream, type ReadResponse, WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { PreconditionFailureSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { startEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { queryWriteStatus, read, write } = ByteStream.method;

describe("messages", () => {
  test("a unary call's request and response arrive", async () => {
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, ({ resourceName }) => ({
        committedSize: BigInt(resourceName.length),
        complete: true,
      })),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const { messages, status } = await client.unary(queryWriteStatus, { resourceName: "12345" });
    expect(status.code).toBe(0);
    expect(messages).toMatchObject([{ committedSize: 5n, complete: true }]);
  });

  test("an endpoint's path goes before the method's", async () => {
    const origin = await startEndpoint((router) => router.rpc(queryWriteStatus, () => ({}), {}));
    const client = new NativeClient((await startTestBridge(new URL("/behind/a/path/", origin))).port);
    const { status } = await client.unary(queryWriteStatus, {});
    expect(status.code).toBe(Code.Unimplemented);
    expect(status.details).toContain("/behind/a/path/");
  });

  test("a server's messages arrive in order, each before the next is made", async () => {
    const taken = Array.from({ length: 5 }, () => Promise.withResolvers<undefined>());
    const endpoint = await startEndpoint((router) =>
      router.rpc(read, async function* () {
        for (const [index, { promise }] of taken.entries()) {
          yield { data: Uint8Array.of(index) };
          await promise;
        }
      }),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const received: number[] = [];
    const messages: AsyncIterable<ReadResponse> = client.serverStream(read, { resourceName: "r" });
    for await (const { data } of messages) {
      const index = data[0] ?? -1;
      received.push(index);
      taken[index]?.resolve(undefined);
    }
    expect(received).toEqual([0, 1, 2, 3, 4]);
  });

  test("a client's messages arrive in order, each before the next is sent", async () => {
    const arrived = Array.from({ length: 5 }, () => Promise.withResolvers<undefined>());
    const endpoint = await startEndpoint((router) =>
      router.rpc(write, async (requests) => {
        let bytes = 0;
        for await (const { data } of requests) {
          arrived[data[0] ?? -1]?.resolve(undefined);
          bytes += data.length;
        }
        return { committedSize: BigInt(bytes) };
      }),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const { call, ending } = client.clientStream(write);
    for (const [index, { promise }] of arrived.entries()) {
      call.write({ data: Uint8Array.of(index) });
      await promise;
    }
    call.end();
    expect(await ending).toMatchObject({ status: { code: 0 }, messages: [{ committedSize: 5n }] });
  });

  test("an answer before the end of the request ends the call at once", async () => {
    const endpoint = await startEndpoint((router) => router.rpc(write, () => Promise.resolve({ committedSize: 7n })));
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const { call, ending } = client.clientStream(write);
    call.write({ data: new Uint8Array(10) });
    expect(await ending).toMatchObject({ status: { code: 0 }, messages: [{ committedSize: 7n }] });
  });

  test("large messages in both directions come through byte for byte", async () => {
    const data = Uint8Array.from({ length: 5_000_000 }, (_, index) => index % 251);
    const endpoint = await startEndpoint((router) => {
      router.rpc(write, async (requests) => {
        let same = true;
        for await (const request of requests) {
          same &&= Buffer.compare(request.data, data) === 0;
        }
        return { committedSize: same ? 1n : 0n };
      });
      router.rpc(read, () => Readable.from([{ data }, { data: new Uint8Array() }, { data }]));
    });
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const { call, ending } = client.clientStream(write);
    call.write({ data });
    call.write({ data });
    call.end();
    expect((await ending).messages).toMatchObject([{ committedSize: 1n }]);
    const { messages } = await client.readAll(read, {});
    expect(messages.map((message) => Buffer.compare(message.data, data))).toEqual([0, -1, 0]);
  });

  test("a thousand calls at once", async () => {
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, ({ resourceName }) => ({ committedSize: BigInt(resourceName) })),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const endings = await Promise.all(
      Array.from({ length: 1000 }, (_, index) => client.unary(queryWriteStatus, { resourceName: String(index) })),
    );
    expect(endings.map(({ messages }) => messages[0]?.committedSize)).toEqual(
      Array.from({ length: 1000 }, (_, index) => BigInt(index)),
    );
  });
});

describe("metadata", () => {
  test("comes and goes in full: text, binary, authorization and RequestMetadata", async () => {
    const requestMetadata = toBinary(
      RequestMetadataSchema,
      create(RequestMetadataSchema, { toolInvocationId: "build-7" }),
    );
    let seen: Headers | undefined;
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, (_request, { requestHeader, responseHeader, responseTrailer }) => {
        seen = requestHeader;
        responseHeader.set("x-header", "first");
        responseHeader.set("x-header-bin", Buffer.from([0, 255, 7]).toString("base64"));
        responseTrailer.set("x-trailer", "last");
        return {};
      }),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const { headers, status } = await client.unary(
      queryWriteStatus,
      {},
      {
        metadata: {
          authorization: "Bearer t0ken",
          "x-custom": "words with spaces",
          "build.bazel.remote.execution.v2.requestmetadata-bin": Buffer.from(requestMetadata),
        },
      },
    );
    expect(seen?.get("authorization")).toBe("Bearer t0ken");
    expect(seen?.get("x-custom")).toBe("words with spaces");
    expect(seen?.get("te")).toBeNull();
    const carried = seen?.get("build.bazel.remote.execution.v2.requestmetadata-bin") ?? "";
    expect(fromBinary(RequestMetadataSchema, Buffer.from(carried, "base64")).toolInvocationId).toBe("build-7");
    expect(headers?.get("x-header")).toEqual(["first"]);
    expect(headers?.get("x-header-bin")).toEqual([Buffer.from([0, 255, 7])]);
    expect(status.metadata.get("x-trailer")).toEqual(["last"]);
  });
});

describe("statuses", () => {
  const refusing = (error: ConnectError) =>
    startEndpoint((router) => {
      router.rpc(queryWriteStatus, () => Promise.reject(error));
      router.rpc(read, async function* () {
        yield { data: Uint8Array.of(1) };
        await Promise.reject(error);
      });
    });

  test("code, message and details are those of the endpoint, bit for bit", async () => {
    const violations = [{ type: "MISSING", subject: "blobs/abc/3" }];
    const endpoint = await refusing(
      new ConnectError("100% missing ü\n", Code.FailedPrecondition, undefined, [
        { desc: PreconditionFailureSchema, value: { violations } },
      ]),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    for (const { status } of [await client.unary(queryWriteStatus, {}), await client.readAll(read, {})]) {
      expect(status.code).toBe(Code.FailedPrecondition);
      expect(status.details).toBe("100% missing ü\n");
      const [details] = status.metadata.get("grpc-status-details-bin");
      const decoded = fromBinary(StatusSchema, Buffer.from(details ?? ""));
      expect(decoded.details.map((any) => anyUnpack(any, PreconditionFailureSchema))).toMatchObject([{ violations }]);
    }
  });

  test("a stream's messages come before its error", async () => {
    const client = new NativeClient(
      (await startTestBridge(await refusing(new ConnectError("no", Code.DataLoss)))).port,
    );
    const { messages, status } = await client.readAll(read, {});
    expect(messages).toHaveLength(1);
    expect(status).toMatchObject({ code: Code.DataLoss, details: "no" });
  });

  test("details that the client has no room for are left out, and the status still arrives", async () => {
    const endpoint = await refusing(
      new ConnectError("too much", Code.FailedPrecondition, undefined, [
        { desc: StringValueSchema, value: { value: "x".repeat(100_000) } },
      ]),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const { status } = await client.unary(queryWriteStatus, {});
    expect(status).toMatchObject({ code: Code.FailedPrecondition, details: "too much" });
    expect(status.metadata.get("grpc-status-details-bin")).toEqual([]);
  });

  test("a method that the endpoint lacks is UNIMPLEMENTED", async () => {
    const client = new NativeClient((await startTestBridge(await startEndpoint(() => undefined))).port);
    expect((await client.unary(queryWriteStatus, {})).status.code).toBe(Code.Unimplemented);
  });
});

describe("deadlines", () => {
  test("are told to the endpoint", async () => {
    let timeoutMs: number | undefined;
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, (_request, context) => {
        timeoutMs = context.timeoutMs();
        return {};
      }),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    await client.unary(queryWriteStatus, {}, { deadline: Date.now() + 60_000 });
    expect(timeoutMs).toBeGreaterThan(1000);
    expect(timeoutMs).toBeLessThanOrEqual(60_000);
  });
});

describe("cancellation", () => {
  test("by the client reaches the endpoint, in a server's stream", async () => {
    const cancelled = Promise.withResolvers<undefined>();
    const endpoint = await startEndpoint((router) =>
      router.rpc(read, async function* (_request, { signal }) {
        signal.addEventListener("abort", () => {
          cancelled.resolve(undefined);
        });
        yield { data: Uint8Array.of(1) };
        await cancelled.promise;
      }),
    );
    const client = new NativeClient((await startTestBridge(endpoint)).port);
    const call = client.serverStream(read, {});
    call.once("data", () => {
      call.cancel();
    });
    await cancelled.promise;
  });

  test("by the client reaches the endpoint, before there is an answer", async () => {
    const called = Promise.withResolvers<undefined>();
    const cancelled = Promise.withResolvers<undefined>();
    const endpoint = await startEndpoint((router) =>
      router.rpc(queryWriteStatus, async (_request, { signal }) => {
        signal.addEventListener("abort", () => {
          cancelled.resolve(undefined);
        });
        called.resolve(undefined);
        await cancelled.promise;
        return {};
      }),
    );
    const { port } = await startTestBridge(endpoint);
    const client = createClient(ByteStream, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
    const abort = new AbortController();
    const refused = expect(client.queryWriteStatus({}, { signal: abort.signal })).rejects.toThrow("abort");
    await called.promise;
    abort.abort();
    await cancelled.promise;
    await refused;
  });

  test("a client whose connection breaks in an upload has not ended its request", async () => {
    const started = Promise.withResolvers<undefined>();
    const ended = Promise.withResolvers<string>();
    const endpoint = await startEndpoint((router) =>
      router.rpc(write, async (requests) => {
        try {
          for await (const { data } of requests) {
            expect(data).toHaveLength(3);
            started.resolve(undefined);
          }
          ended.resolve("whole");
        } catch {
          ended.resolve("cut");
        }
        return {};
      }),
    );
    const { port } = await startTestBridge(endpoint);
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const stream = session.request({
      ":method": "POST",
      ":path": "/google.bytestream.ByteStream/Write",
      "content-type": "application/grpc",
    });
    stream.on("error", () => undefined);
    stream.write(encodeFrame(toBinary(WriteRequestSchema, create(WriteRequestSchema, { data: new Uint8Array(3) }))));
    await started.promise;
    session.destroy();
    expect(await ended.promise).toBe("cut");
  });
});
