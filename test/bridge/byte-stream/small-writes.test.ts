import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { BridgeLimits } from "../../../bridge/limits.ts";
import { RequestMetadataSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream, type WriteResponse } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { PreconditionFailureSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../protos/gen/google/rpc/status_pb.ts";
import { startTestBridge } from "../bridges.ts";
import { CasEndpoint, hashOf, uploadName } from "../cas-endpoint.ts";
import { type Ending, NativeClient } from "../native-client.ts";

const { write } = ByteStream.method;
const BATCH = "BatchUpdateBlobs";
const REQUEST_METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin";

async function start(limits: Partial<BridgeLimits> = {}) {
  const cas = new CasEndpoint();
  const bridge = await startTestBridge(await cas.start(), limits);
  return { cas, client: new NativeClient(bridge.port) };
}

function blob(text: string | number): Uint8Array {
  return Buffer.from(`blob ${text}`);
}

interface Upload {
  readonly resourceName?: string;
  readonly metadata?: Record<string, string | Buffer>;
  /** How many bytes each message has. */
  readonly chunkBytes?: number;
  readonly deadline?: number;
}

function upload(client: NativeClient, data: Uint8Array, options: Upload = {}): Promise<Ending<WriteResponse>> {
  const { resourceName = uploadName(data), metadata = {}, chunkBytes = data.length, deadline } = options;
  const { call, ending } = client.clientStream(write, { metadata, ...(deadline !== undefined && { deadline }) });
  let offset = 0;
  do {
    const piece = data.subarray(offset, offset + chunkBytes);
    const finishWrite = offset + piece.length >= data.length;
    call.write({
      resourceName: offset === 0 ? resourceName : "",
      writeOffset: BigInt(offset),
      data: piece,
      finishWrite,
    });
    offset += piece.length;
  } while (offset < data.length);
  call.end();
  return ending;
}

/** Lets uploads gather behind one that is on its way, until `meanwhile` has passed too. */
async function together<T>(
  { cas, client }: Awaited<ReturnType<typeof start>>,
  uploads: () => Promise<T>[],
  meanwhile?: Promise<unknown>,
) {
  const batchesBefore = cas.count(BATCH);
  const gathered = Promise.withResolvers<undefined>();
  const begun = Promise.withResolvers<undefined>();
  cas.hold = (method) => {
    if (method === BATCH && cas.count(BATCH) === batchesBefore + 1) {
      begun.resolve(undefined);
      return gathered.promise;
    }
    return Promise.resolve();
  };
  const first = upload(client, blob("first"));
  await begun.promise;
  const endings = uploads();
  // They are in the bridge when an answer to a later call has come.
  await upload(client, new Uint8Array(100_000));
  await meanwhile;
  gathered.resolve(undefined);
  expect((await first).status.code).toBe(0);
  return Promise.all(endings);
}

const LONG_WINDOW = { batchWindowMs: 60_000 };

test("with 40 ms to the endpoint, 1,000 blobs of 1 KiB from 100 streams take at most a fifth of the requests", async () => {
  const { cas, client } = await start();
  cas.latencyMs = 40;
  const blobs = Array.from({ length: 1000 }, (_, index) => Buffer.alloc(1024, `${index} `));
  const queue = blobs.values();
  const committed: bigint[] = [];
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      for (const data of queue) {
        const { messages } = await upload(client, data);
        committed.push(messages[0]?.committedSize ?? -1n);
      }
    }),
  );
  expect(committed).toEqual(blobs.map(() => 1024n));
  expect(new Set(cas.blobs.keys())).toEqual(new Set(blobs.map(hashOf)));
  expect(cas.calls.length).toBeLessThanOrEqual(200);
});

test("an upload that comes alone goes at once, whatever the window is", async () => {
  const { cas, client } = await start(LONG_WINDOW);
  const { messages, status } = await upload(client, blob(1));
  expect(status.code).toBe(0);
  expect(messages).toMatchObject([{ committedSize: 6n }]);
  expect(cas.calls).toEqual([BATCH]);
});

test("a blob in several messages, and the empty one, go in batches too", async () => {
  const { cas, client } = await start();
  const data = Buffer.alloc(10_000, "pieces ");
  expect((await upload(client, data, { chunkBytes: 700 })).messages).toMatchObject([{ committedSize: 10_000n }]);
  expect((await upload(client, new Uint8Array())).messages).toMatchObject([{ committedSize: 0n }]);
  expect(cas.calls).toEqual([BATCH, BATCH]);
  expect(cas.blobs.get(hashOf(data))).toEqual(new Uint8Array(data));
});

describe("each client is answered from its own blob's status", () => {
  test("one with bytes that are not its digest's fails alone, with the endpoint's error", async () => {
    const running = await start(LONG_WINDOW);
    const wrong = hashOf(blob("other"));
    const [good, bad, fine] = await together(running, () => [
      upload(running.client, blob(1)),
      upload(running.client, blob(2), { resourceName: uploadName(blob(2), wrong) }),
      upload(running.client, blob(3)),
    ]);
    expect(good).toMatchObject({ status: { code: 0 }, messages: [{ committedSize: 6n }] });
    expect(fine).toMatchObject({ status: { code: 0 }, messages: [{ committedSize: 6n }] });
    expect(bad).toMatchObject({
      status: { code: Code.InvalidArgument, details: `the bytes are not those of ${wrong}` },
      messages: [],
    });
    expect(running.cas.calls).toEqual([BATCH, "Write", BATCH]);
  });

  test("in whatever order the endpoint gives them", async () => {
    const running = await start(LONG_WINDOW);
    running.cas.onUpdate = (responses) => responses.toReversed();
    const [bad, good] = await together(running, () => [
      upload(running.client, blob(1), { resourceName: uploadName(blob(1), hashOf(blob(0))) }),
      upload(running.client, blob(2)),
    ]);
    expect(bad?.status.code).toBe(Code.InvalidArgument);
    expect(good?.status.code).toBe(0);
  });

  test("details and all", async () => {
    const { cas, client } = await start();
    const detail = create(PreconditionFailureSchema, { violations: [{ type: "MISSING", subject: "s" }] });
    cas.onUpdate = (responses) =>
      responses.map(({ digest }) => ({
        ...(digest && { digest }),
        status: {
          code: Code.FailedPrecondition,
          message: "100% ü",
          details: [anyPack(PreconditionFailureSchema, detail)],
        },
      }));
    const { status } = await upload(client, blob(1));
    expect(status).toMatchObject({ code: Code.FailedPrecondition, details: "100% ü" });
    const [details] = status.metadata.get("grpc-status-details-bin");
    expect(fromBinary(StatusSchema, Buffer.from(details ?? "")).details).toHaveLength(1);
  });

  test("two uploads of one blob share it", async () => {
    const running = await start(LONG_WINDOW);
    const stored: number[] = [];
    running.cas.onUpdate = (responses) => {
      stored.push(responses.length);
      return responses;
    };
    const endings = await together(running, () => [upload(running.client, blob(1)), upload(running.client, blob(1))]);
    expect(endings.map(({ status }) => status.code)).toEqual([0, 0]);
    expect(stored).toEqual([1, 1]);
  });

  test("different bytes under one digest are told apart", async () => {
    const running = await start(LONG_WINDOW);
    const resourceName = uploadName(blob(1));
    const [right, wrong] = await together(running, () => [
      upload(running.client, blob(1)),
      upload(running.client, blob(2), { resourceName }),
    ]);
    expect(right?.status.code).toBe(0);
    expect(wrong?.status.code).toBe(Code.InvalidArgument);
  });

  test("one that the endpoint's answer leaves out is uploaded by itself", async () => {
    const { cas, client } = await start();
    cas.onUpdate = () => [];
    const { messages } = await upload(client, blob(1));
    expect(messages).toMatchObject([{ committedSize: 6n }]);
    expect(cas.calls).toEqual([BATCH, "Write"]);
  });
});

describe("a batch that fails as a whole", () => {
  test("for a reason of its own is taken apart", async () => {
    const running = await start(LONG_WINDOW);
    running.cas.onUpdate = (responses) => {
      if (responses.length > 1) throw new TypeError("too much at once");
      return responses;
    };
    const endings = await together(running, () => [upload(running.client, blob(1)), upload(running.client, blob(2))]);
    expect(endings.map(({ status }) => status.code)).toEqual([0, 0]);
    expect(running.cas.count("Write")).toBe(3);
  });

  test("as the endpoint is not there fails for each, and is not repeated for each", async () => {
    const client = new NativeClient((await startTestBridge(new URL("http://127.0.0.1:1"))).port);
    const { status } = await upload(client, blob(1));
    expect(status.code).toBe(Code.Unavailable);
    expect(status.details).toContain("ECONNREFUSED");
  });
});

describe("what is sent together", () => {
  test("has one caller and one build", async () => {
    const running = await start(LONG_WINDOW);
    const build = (toolInvocationId: string, actionId: string) =>
      Buffer.from(toBinary(RequestMetadataSchema, create(RequestMetadataSchema, { toolInvocationId, actionId })));
    await together(running, () => [
      upload(running.client, blob(1), { metadata: { authorization: "Bearer a", [REQUEST_METADATA]: build("1", "x") } }),
      upload(running.client, blob(2), { metadata: { authorization: "Bearer b", [REQUEST_METADATA]: build("1", "x") } }),
      upload(running.client, blob(3), { metadata: { authorization: "Bearer a", [REQUEST_METADATA]: build("2", "x") } }),
    ]);
    const seen = running.cas.requests.map((headers) => {
      const metadata = Buffer.from(String(headers[REQUEST_METADATA] ?? ""), "base64");
      const { toolInvocationId, actionId } = fromBinary(RequestMetadataSchema, metadata);
      return `${headers.authorization ?? "nobody"} ${toolInvocationId}${actionId}`;
    });
    expect(new Set(seen)).toEqual(new Set(["nobody ", "Bearer a 1", "Bearer b 1", "Bearer a 2"]));
  });

  test("has the time of the most patient of its clients", async () => {
    const running = await start(LONG_WINDOW);
    const deadline = Date.now() + 1_000_000;
    await together(running, () => [
      upload(running.client, blob(1), { deadline: Date.now() + 500_000 }),
      upload(running.client, blob(2), { deadline }),
      upload(running.client, blob(3), { deadline: Date.now() + 500_000 }),
    ]);
    const [, , batch] = running.cas.requests;
    expect(Number(String(batch?.["grpc-timeout"]).replace(/m$/, ""))).toBeGreaterThan(900_000);
  });

  test("has no deadline if one of them has none", async () => {
    const running = await start(LONG_WINDOW);
    await together(running, () => [
      upload(running.client, blob(1), { deadline: Date.now() + 500_000 }),
      upload(running.client, blob(2)),
    ]);
    expect(running.cas.requests[2]).not.toHaveProperty("grpc-timeout");
  });

  test("is at most so many blobs and bytes", async () => {
    const running = await start({ ...LONG_WINDOW, batchBlobs: 2, batchBytes: 100 });
    const sizes: number[] = [];
    running.cas.onUpdate = (responses) => {
      sizes.push(responses.length);
      return responses;
    };
    await together(running, () => [1, 2, 3, 4].map((text) => upload(running.client, blob(text))));
    expect(Math.max(...sizes)).toBe(2);
  });
});

describe("goes to the endpoint as it is", () => {
  const data = blob(1);
  const hash = hashOf(data);

  test.each([
    ["a compressed upload", `main/uploads/u/compressed-blobs/zstd/${hash}/6`],
    ["an upload whose name is none", "what/is/this"],
    ["a hash that is none", `main/uploads/u/blobs/xyz/6`],
    ["a digest function that is not known", `main/uploads/u/blobs/md77/${hash}/6`],
    ["more data than the digest says", `main/uploads/u/blobs/${hash}/5`],
    ["fewer data than the digest says", `main/uploads/u/blobs/${hash}/7`],
  ])("%s", async (_what, resourceName) => {
    const { cas, client } = await start();
    await upload(client, data, { resourceName });
    expect(cas.calls).toEqual(["Write"]);
  });

  test("an upload that is taken up again", async () => {
    const { cas, client } = await start();
    const { call, ending } = client.clientStream(write);
    call.write({ resourceName: uploadName(data), writeOffset: 3n, data: data.subarray(3), finishWrite: true });
    call.end();
    await ending;
    expect(cas.calls).toEqual(["Write"]);
  });

  test("an upload that its client doesn't finish", async () => {
    const { cas, client } = await start();
    const { call, ending } = client.clientStream(write);
    call.write({ resourceName: uploadName(data), data });
    call.end();
    await ending;
    expect(cas.calls).toEqual(["Write"]);
  });

  test("a blob above the limit, and any with batches off", async () => {
    const { cas, client } = await start({ batchBlobBytes: 5 });
    await upload(client, data);
    expect(cas.calls).toEqual(["Write"]);
    const off = await start({ batchWindowMs: 0 });
    await upload(off.client, data);
    expect(off.cas.calls).toEqual(["Write"]);
  });

  test("a message without end, as soon as it is longer than a small blob's can be", async () => {
    const { cas, client } = await start();
    const { call, ending } = client.clientStream(write);
    // Each of them is fine, and none has data.
    for (let message = 0; message < 3000; message++) call.write({ resourceName: uploadName(data) });
    call.write({ data, finishWrite: true });
    call.end();
    expect((await ending).status.code).toBe(0);
    expect(cas.calls).toEqual(["Write"]);
  });
});

test("a client whose time is over while it waits for others takes nothing from them", async () => {
  const running = await start(LONG_WINDOW);
  const stored: number[] = [];
  running.cas.onUpdate = (responses) => {
    stored.push(responses.length);
    return responses;
  };
  const impatient = Promise.withResolvers<Ending<WriteResponse>>();
  const endings = await together(
    running,
    () => {
      const ending = upload(running.client, blob(1), { metadata: { "grpc-timeout": "100m" } });
      void ending.then(impatient.resolve);
      return [ending, upload(running.client, blob(2))];
    },
    impatient.promise,
  );
  expect(endings.map(({ status }) => status.code)).toEqual([Code.DeadlineExceeded, 0]);
  expect(stored).toEqual([1, 1]);
});
