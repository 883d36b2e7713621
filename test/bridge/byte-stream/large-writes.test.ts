import { zstdCompressSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { BridgeLimits } from "../../../bridge/limits.ts";
import { ByteStream } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "../bridges.ts";
import { hashOf, uploadName } from "../cas-endpoint.ts";
import { NativeClient } from "../native-client.ts";
import { UploadEndpoint } from "./upload-endpoint.ts";

const { write } = ByteStream.method;
const PART_BYTES = 1000;
const LIMITS = { maxRequestBytes: 20_000, resumableUploadBytes: 2000, batchBlobBytes: 100 };
const BLOB = Buffer.from(Uint8Array.from({ length: 50_000 }, (_, index) => (index * index) % 251));
const NAME = uploadName(BLOB);

async function start(limits: Partial<BridgeLimits> = {}, partBytes = PART_BYTES) {
  const endpoint = new UploadEndpoint(partBytes);
  const bridge = await startTestBridge(await endpoint.start(), { ...LIMITS, ...limits });
  return { endpoint, client: new NativeClient(bridge.port) };
}

interface Upload {
  readonly resourceName?: string;
  readonly offset?: number;
  readonly chunkBytes?: number;
  readonly finish?: boolean;
}

function upload(client: NativeClient, data: Uint8Array, options: Upload = {}) {
  const { resourceName = NAME, offset = 0, chunkBytes = 700, finish = true } = options;
  const { call, ending } = client.clientStream(write);
  for (let at = offset; at < data.length; at += chunkBytes) {
    const piece = data.subarray(at, at + chunkBytes);
    call.write({
      resourceName: at === offset ? resourceName : "",
      writeOffset: BigInt(at),
      data: piece,
      finishWrite: finish && at + piece.length === data.length,
    });
  }
  call.end();
  return ending;
}

describe("an upload that is larger than a request", () => {
  test("goes in several, each of which begins at what is committed", async () => {
    const { endpoint, client } = await start();
    const { messages, status } = await upload(client, BLOB);
    expect(status.code).toBe(0);
    expect(messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.blobs.get(hashOf(BLOB))).toEqual(BLOB);
    expect(endpoint.largestBodyBytes).toBeLessThanOrEqual(20_000);
    expect(endpoint.largestBodyBytes).toBeGreaterThan(18_000);
    expect(endpoint.writes.map(({ resourceName }) => resourceName)).toEqual([NAME, NAME, NAME]);
    expect(endpoint.writes.map(({ offset }) => offset % PART_BYTES)).toEqual([0, 0, 0]);
    expect(endpoint.queries).toBe(0);
  });

  test.each([1, 999, 20_000, 50_000])("in messages of %d bytes", async (chunkBytes) => {
    const data = BLOB.subarray(0, chunkBytes === 1 ? 3000 : undefined);
    const { endpoint, client } = await start();
    const { messages } = await upload(client, data, { chunkBytes, resourceName: uploadName(data) });
    expect(messages).toMatchObject([{ committedSize: BigInt(data.length) }]);
    expect(endpoint.blobs.get(hashOf(data))).toEqual(data);
    expect(endpoint.largestBodyBytes).toBeLessThanOrEqual(20_000);
  });

  test("is cut between the Worker's parts, so that nothing is sent twice", async () => {
    const endpoint = new UploadEndpoint(8 * 1024 * 1024);
    const bridge = await startTestBridge(await endpoint.start(), { maxRequestBytes: 9_000_000 });
    const data = Buffer.alloc(20 * 1024 * 1024, "a blob of some size ");
    const resourceName = uploadName(data);
    const { messages } = await upload(new NativeClient(bridge.port), data, { resourceName, chunkBytes: 1_000_000 });
    expect(messages).toMatchObject([{ committedSize: BigInt(data.length) }]);
    expect(endpoint.writes.map(({ offset, dataBytes }) => [offset / 2 ** 20, dataBytes / 2 ** 20])).toEqual([
      [0, 8],
      [8, 8],
      [16, 4],
    ]);
  });

  test("may be taken up by its client, at what is committed", async () => {
    const { endpoint, client } = await start();
    await upload(client, BLOB.subarray(0, 30_500), { finish: false });
    expect(endpoint.committedBytes(NAME)).toBe(30_000);
    const { messages } = await upload(client, BLOB, { offset: 30_000 });
    expect(messages).toMatchObject([{ committedSize: 50_000n }]);
  });

  test("that its client doesn't finish says what is committed", async () => {
    const { client } = await start();
    const { messages } = await upload(client, BLOB.subarray(0, 30_500), { finish: false });
    expect(messages).toMatchObject([{ committedSize: 30_000n }]);
  });

  test("of which nothing comes to be committed ends with what to do", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 900 });
    const { status } = await upload(client, BLOB);
    expect(status.code).toBe(Code.Unavailable);
    expect(status.details).toMatch(/has committed 0 of .* requests of up to 900 bytes \(maxRequestBytes\)/);
    expect(endpoint.writes.length).toBeLessThan(20);
  });

  test("of a blob that comes to be there ends early", async () => {
    const { endpoint, client } = await start();
    endpoint.onMessage = ({ offset }) => {
      if (offset > 0) return;
      endpoint.blobs.set(hashOf(BLOB), BLOB);
    };
    const { messages } = await upload(client, BLOB);
    expect(messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.writes).toHaveLength(2);
  });
});

describe("an upload whose request breaks off", () => {
  /** Breaks the connection once so much was received of each of the first `times` Writes. */
  function breaking(endpoint: UploadEndpoint, times: number, afterBytes: number): void {
    endpoint.onMessage = (seen, connection) => {
      if (endpoint.writes.length > times || seen.dataBytes < afterBytes) return;
      connection.break();
      throw new Error("broken");
    };
  }

  test("is taken up at what is committed, and its client notices nothing (redpanda#31358)", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6 });
    breaking(endpoint, 2, 12_300);
    const { messages, status } = await upload(client, BLOB);
    expect(status.code).toBe(0);
    expect(messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.blobs.get(hashOf(BLOB))).toEqual(BLOB);
    expect(endpoint.writes.map(({ offset }) => offset)).toEqual([0, 12_000, 24_000]);
    expect(endpoint.queries).toBe(2);
  });

  test("behind its last message is finished", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6 });
    breaking(endpoint, 1, BLOB.length);
    const { messages } = await upload(client, BLOB);
    expect(messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.writes).toHaveLength(2);
  });

  test("with nothing committed is begun anew", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6 });
    breaking(endpoint, 1, 500);
    expect((await upload(client, BLOB)).messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.writes.map(({ offset }) => offset)).toEqual([0, 0]);
  });

  test("and was completed all the same has its answer from QueryWriteStatus", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6 });
    endpoint.onMessage = (seen, connection) => {
      if (seen.dataBytes < BLOB.length) return;
      endpoint.blobs.set(hashOf(BLOB), BLOB);
      connection.break();
      throw new Error("broken");
    };
    expect((await upload(client, BLOB)).messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.writes).toHaveLength(1);
  });

  test("is taken up though the endpoint is away for a while", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6 });
    breaking(endpoint, 1, 12_300);
    endpoint.onQuery = () => {
      if (endpoint.queries < 4) throw new ConnectError("restarting", Code.Unavailable);
    };
    expect((await upload(client, BLOB)).messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.queries).toBe(4);
  });

  test("time and again without getting further ends", async () => {
    // None of it is ever a part. What is sent again may come in one message.
    const { endpoint, client } = await start({ maxRequestBytes: 1e6, uploadAttempts: 3 }, 2 * BLOB.length);
    breaking(endpoint, Infinity, 500);
    const { status } = await upload(client, BLOB);
    expect(status.code).toBe(Code.Unavailable);
    expect(endpoint.writes).toHaveLength(4);
    expect(endpoint.queries).toBe(3);
  });

  test("where more is lost than is held is its client's to take up", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6, uploadTailBytes: 5000 });
    endpoint.onMessage = (seen, connection) => {
      if (seen.dataBytes < 12_300) return;
      connection.break();
      throw new Error("broken");
    };
    endpoint.onQuery = () => {
      throw new ConnectError("who?", Code.NotFound);
    };
    const { status } = await upload(client, BLOB);
    expect(status.code).toBe(Code.Unavailable);
    expect(status.details).not.toContain("who?");
  });

  test("and went further meanwhile than it had when the endpoint was asked is taken up there", async () => {
    const { endpoint, client } = await start({ maxRequestBytes: 1e6 });
    breaking(endpoint, 1, 20_300);
    const breakOnce = endpoint.onMessage;
    endpoint.onMessage = (seen, connection) => {
      if (endpoint.writes.length === 2) {
        endpoint.commit(NAME, BLOB.subarray(0, 24_000));
        throw new ConnectError("20000 is no longer where it ends", Code.InvalidArgument);
      }
      return breakOnce(seen, connection);
    };
    expect((await upload(client, BLOB)).messages).toMatchObject([{ committedSize: 50_000n }]);
    expect(endpoint.writes.map(({ offset }) => offset)).toEqual([0, 20_000, 24_000]);
  });
});

describe("the endpoint's own error comes through", () => {
  test.each([
    ["of an offset that leaves a gap", [{ writeOffset: 0n }, { writeOffset: 800n }], "write_offset 800 is not 700"],
    ["of another name", [{ writeOffset: 0n }, { writeOffset: 700n, resourceName: "x" }], "another name"],
  ])("%s", async (_what, messages, error) => {
    const { endpoint, client } = await start();
    const { call, ending } = client.clientStream(write);
    messages.forEach((message, index) => {
      call.write({ ...(index === 0 && { resourceName: NAME }), data: BLOB.subarray(0, 700), ...message });
    });
    expect((await ending).status).toMatchObject({ code: Code.InvalidArgument, details: error });
    expect(endpoint.queries).toBe(0);
    call.end();
  });

  test("of bytes that are not the digest's", async () => {
    const { endpoint, client } = await start();
    const { status } = await upload(client, Buffer.alloc(50_000));
    expect(status).toMatchObject({ code: Code.InvalidArgument, details: `the bytes are not those of ${hashOf(BLOB)}` });
    expect(endpoint.writes).toHaveLength(3);
  });

  test("of too many", async () => {
    const { client } = await start();
    const { status } = await upload(client, Buffer.concat([BLOB, BLOB]), { chunkBytes: 30_000 });
    expect(status).toMatchObject({ code: Code.InvalidArgument, details: "too much" });
  });
});

describe("a compressed upload of a blob that is larger than a request", () => {
  const name = (data: Uint8Array) => `main/uploads/u/compressed-blobs/zstd/${hashOf(data)}/${data.length}`;
  const compressed = zstdCompressSync(BLOB);

  test("may have several frames, and several in a message, as Bazel's have (bazel#16808)", async () => {
    const third = Math.ceil(BLOB.length / 3);
    const frames = [0, 1, 2].map((i) => zstdCompressSync(BLOB.subarray(i * third, (i + 1) * third)));
    const data = Buffer.concat(frames);
    for (const chunkBytes of [data.length, 100]) {
      const { endpoint, client } = await start();
      const { messages, status } = await upload(client, data, { resourceName: name(BLOB), chunkBytes });
      expect(status).toMatchObject({ code: 0 });
      expect(messages).toMatchObject([{ committedSize: BigInt(data.length) }]);
      expect(endpoint.blobs.get(hashOf(BLOB))).toEqual(BLOB);
    }
  });

  test("goes on uncompressed, and its committed size is the compressed bytes", async () => {
    const { endpoint, client } = await start();
    const { messages, status } = await upload(client, compressed, { resourceName: name(BLOB), chunkBytes: 100 });
    expect(status.code).toBe(0);
    expect(messages).toMatchObject([{ committedSize: BigInt(compressed.length) }]);
    expect(endpoint.blobs.get(hashOf(BLOB))).toEqual(BLOB);
    expect(new Set(endpoint.writes.map(({ resourceName }) => resourceName))).toEqual(
      new Set([`main/uploads/u/blobs/${hashOf(BLOB)}/50000`]),
    );
    expect(endpoint.largestBodyBytes).toBeLessThanOrEqual(20_000);
  });

  test("that is there already is ended early, with -1 (bazel#14654)", async () => {
    const { endpoint, client } = await start();
    endpoint.blobs.set(hashOf(BLOB), BLOB);
    const { call, ending } = client.clientStream(write);
    call.write({ resourceName: name(BLOB), data: compressed.subarray(0, compressed.length - 10) });
    expect((await ending).messages).toMatchObject([{ committedSize: -1n }]);
    call.end();
  });

  test.each([
    ["that is no zstd", BLOB.subarray(0, 1000), {}, /no zstd stream/],
    ["that ends too early", compressed.subarray(0, -20), {}, /no zstd stream/],
    ["that is not finished", compressed, { finish: false }, /ends without finish_write/],
    ["of another blob", zstdCompressSync(Buffer.alloc(50_000)), {}, /the bytes are not those of/],
    ["of a larger blob", zstdCompressSync(Buffer.alloc(10_000_000)), {}, /too much/],
  ])("%s is INVALID_ARGUMENT", async (_what, data, options, message) => {
    const { client } = await start();
    const { status } = await upload(client, data, { resourceName: name(BLOB), ...options });
    expect(status.code).toBe(Code.InvalidArgument);
    expect(status.details).toMatch(message);
  });

  test.each([
    ["with a compressor that is not known here", { resourceName: name(BLOB).replace("zstd", "brotli") }],
    ["of a smaller blob", { resourceName: name(BLOB.subarray(0, 15_000)) }],
  ])("%s goes as it comes", async (_what, { resourceName }) => {
    const { endpoint, client } = await start();
    await upload(client, compressed, { resourceName });
    expect(endpoint.writes.map((seen) => seen.resourceName)).toEqual([resourceName]);
  });
});
