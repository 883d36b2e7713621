import { randomBytes, randomUUID } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../../worker.ts";
import {
  codeOf,
  collect,
  connectClients,
  digestOf,
  PROTOCOLS,
  refusalOf,
  streamOf,
  writeRequests,
  type Clients,
} from "../clients.ts";

const MIB = 1 << 20;
/** Of an upload in parts; what is committed is a multiple of it. */
const PART_BYTES = 8 * MIB;

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker();
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

/** Bytes that are random, and compress by half or so. */
const halfRandom = (length: number) =>
  Buffer.from(
    randomBytes(Math.ceil(length / 2))
      .toString("hex")
      .slice(0, length),
  );

function readName(bytes: Uint8Array, kind = "compressed-blobs/zstd"): string {
  const { hash, sizeBytes } = digestOf(bytes);
  return `main/${kind}/${hash}/${sizeBytes}`;
}

function uploadName(bytes: Uint8Array, uuid: string = randomUUID()): string {
  const { hash, sizeBytes } = digestOf(bytes);
  return `main/uploads/${uuid}/compressed-blobs/zstd/${hash}/${sizeBytes}`;
}

async function read(resourceName: string, range: { readOffset?: bigint; readLimit?: bigint } = {}): Promise<Buffer> {
  const messages = await collect(clients.byteStream.read({ resourceName, ...range }));
  return Buffer.concat(messages.map(({ data }) => data));
}

/** Uploads `data` as the compressed form of a blob. */
async function write(...args: Parameters<typeof writeRequests>): Promise<number> {
  const { committedSize } = await clients.byteStream.write(streamOf(writeRequests(...args)));
  return Number(committedSize);
}

async function isMissing(bytes: Uint8Array): Promise<boolean> {
  const blobDigests = [digestOf(bytes)];
  const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName: "main", blobDigests });
  return missingBlobDigests.length === 1;
}

/** A stream of several frames, one of which is to be skipped. */
function inFrames(bytes: Uint8Array, frames: number): Buffer {
  const frameBytes = Math.ceil(bytes.length / frames);
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]);
  const pieces = Array.from({ length: frames }, (_, i) => bytes.subarray(i * frameBytes, (i + 1) * frameBytes));
  return Buffer.concat([skipped, ...pieces.map((piece) => zstdCompressSync(piece))]);
}

// In a row, as one object, and in parts.
describe.each([20, 1000, 100_000, PART_BYTES + MIB])("a blob of %i bytes", (size) => {
  test.each(["text", "random"])("that is %s comes compressed, and can be read either way", async (kind) => {
    const bytes = kind === "text" ? halfRandom(size) : randomBytes(size);
    const compressed = zstdCompressSync(bytes);
    expect(await write(uploadName(bytes), compressed, { chunkBytes: 1 + Math.floor(compressed.length / 3) })).toBe(
      compressed.length,
    );
    expect((await read(readName(bytes, "blobs"))).equals(bytes)).toBe(true);

    const got = await read(readName(bytes));
    expect(zstdDecompressSync(got).equals(bytes)).toBe(true);
    if (kind === "text" && size > 10_000) expect(got.length).toBeLessThan(0.7 * size);

    const offset = Math.floor(size / 3);
    const rest = await read(readName(bytes), { readOffset: BigInt(offset) });
    expect(zstdDecompressSync(rest).equals(bytes.subarray(offset))).toBe(true);
    const end = await read(readName(bytes), { readOffset: BigInt(size) });
    expect(zstdDecompressSync(end).length).toBe(0);
  });

  test("in many frames", async () => {
    const bytes = halfRandom(size);
    const compressed = inFrames(bytes, Math.min(size, 20));
    expect(await write(uploadName(bytes), compressed)).toBe(compressed.length);
    expect((await read(readName(bytes, "blobs"))).equals(bytes)).toBe(true);
  });

  test("that is stored already ends the upload, with -1 as committed (bazel#14654)", async () => {
    const bytes = halfRandom(size);
    const compressed = zstdCompressSync(bytes);
    await write(uploadName(bytes), compressed);
    // Blobs in rows are too small to be looked up before they are read.
    expect(await write(uploadName(bytes), compressed)).toBe(size <= 16 << 10 ? compressed.length : -1);
    expect((await read(readName(bytes, "blobs"))).equals(bytes)).toBe(true);
  });

  test("of another digest is refused, and nothing is stored", async () => {
    const bytes = halfRandom(size);
    const other = Buffer.from(bytes);
    other[0] = (other[0] ?? 0) ^ 1;
    const refused = {
      "with another hash": zstdCompressSync(other),
      "with too few bytes": zstdCompressSync(bytes.subarray(1)),
      "with too many bytes": zstdCompressSync(Buffer.concat([bytes, Buffer.alloc(1)])),
      "with too many bytes, in another frame": Buffer.concat([zstdCompressSync(bytes), zstdCompressSync(bytes)]),
      "a bomb": zstdCompressSync(Buffer.alloc(200 * MIB)),
      "not zstd": bytes,
      "cut and finished": zstdCompressSync(bytes).subarray(0, -1),
      "followed by something else": Buffer.concat([zstdCompressSync(bytes), Buffer.from("else")]),
    };
    for (const [how, data] of Object.entries(refused)) {
      const refusal = await refusalOf(write(uploadName(bytes), data, { chunkBytes: MIB }));
      expect(`${how}: ${(await codeOf(Promise.reject(refusal))) ?? ""}`).toBe(`${how}: InvalidArgument`);
      expect(refusal.rawMessage).toContain(digestOf(bytes).hash);
      expect(await isMissing(bytes)).toBe(true);
    }
  });
});

test("damage that a checksum shows is refused", async () => {
  const bytes = randomBytes(300_000);
  const compressed = zstdCompressSync(bytes);
  compressed[150_000] = (compressed[150_000] ?? 0) ^ 1;
  expect(await codeOf(write(uploadName(bytes), compressed))).toBe("InvalidArgument");
  expect(await isMissing(bytes)).toBe(true);
});

test("a window of more than 8 MiB is refused, whatever the frame holds", async () => {
  const bytes = Buffer.from("x");
  const frame = (windowLog: number) =>
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, (1 << 3) | 1, 0, 0, ...bytes]);
  const refusal = await refusalOf(write(uploadName(bytes), frame(24)));
  expect(refusal.rawMessage).toContain("window of 16777216 bytes");
  expect(await write(uploadName(bytes), frame(23))).toBe(frame(23).length);
});

test("many uploads with large windows at once wait for one another's memory", async () => {
  const uploads = Array.from({ length: 20 }, () => {
    const bytes = halfRandom(100_000);
    // 8 MiB each, if the encoder is not told how much there is to come: 20 of them are more than an isolate has.
    const raw = Array.from({ length: 4 }, (_, i) => {
      const header = Buffer.alloc(3);
      header.writeUIntLE((25_000 << 3) | (i === 3 ? 1 : 0), 0, 3);
      return Buffer.concat([header, bytes.subarray(i * 25_000, (i + 1) * 25_000)]);
    });
    return { bytes, frame: Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3]), ...raw]) };
  });
  const committed = await Promise.all(uploads.map(({ bytes, frame }) => write(uploadName(bytes), frame)));
  expect(committed).toEqual(uploads.map(({ frame }) => frame.length));
});

test("the first write_offset counts uncompressed bytes, the next ones add compressed ones to it", async () => {
  const bytes = halfRandom(PART_BYTES + MIB);
  const resourceName = uploadName(bytes);
  const begun = zstdCompressSync(bytes);
  // Cut when a part is durable, in the middle of the next.
  const cut = begun.subarray(0, begun.length - 1000);
  expect(await write(resourceName, cut, { finish: false })).toBe(PART_BYTES);
  expect(await isMissing(bytes)).toBe(true);
  const status = await clients.byteStream.queryWriteStatus({ resourceName });
  expect(status).toMatchObject({ committedSize: BigInt(PART_BYTES), complete: false });

  const rest = zstdCompressSync(bytes.subarray(PART_BYTES));
  const half = Math.floor(rest.length / 2);
  const messages = [
    { resourceName, writeOffset: BigInt(PART_BYTES), data: rest.subarray(0, half) },
    { writeOffset: BigInt(PART_BYTES + half), data: rest.subarray(half), finishWrite: true },
  ];
  const { committedSize } = await clients.byteStream.write(streamOf(messages));
  expect(committedSize).toBe(BigInt(PART_BYTES + rest.length));
  expect((await read(readName(bytes, "blobs"))).equals(bytes)).toBe(true);
});

test("an upload that goes on uncompressed after a cut is one upload", async () => {
  const bytes = halfRandom(PART_BYTES + MIB);
  const uuid = randomUUID();
  const compressed = zstdCompressSync(bytes);
  const cut = compressed.subarray(0, compressed.length - 1000);
  expect(await write(uploadName(bytes, uuid), cut, { finish: false })).toBe(PART_BYTES);
  const plain = uploadName(bytes, uuid).replace("compressed-blobs/zstd", "blobs");
  expect(await write(plain, bytes, { offsetBytes: PART_BYTES, chunkBytes: MIB })).toBe(bytes.length);
  expect((await read(readName(bytes, "blobs"))).equals(bytes)).toBe(true);
});

test("a cut before anything is durable keeps nothing", async () => {
  const bytes = halfRandom(100_000);
  const compressed = zstdCompressSync(bytes);
  for (const cut of [0, 3, 10, 1000, compressed.length - 1]) {
    expect(await write(uploadName(bytes), compressed.subarray(0, cut), { finish: false })).toBe(0);
  }
  expect(await isMissing(bytes)).toBe(true);
  // The stream's own end is enough where all has come.
  expect(await write(uploadName(bytes), compressed, { finish: false })).toBe(compressed.length);
  expect(await isMissing(bytes)).toBe(false);
});

test("messages that don't follow on one another are refused", async () => {
  const bytes = halfRandom(1000);
  const data = zstdCompressSync(bytes);
  const messages = [
    { resourceName: uploadName(bytes), data: data.subarray(0, 100) },
    { writeOffset: 101n, data: data.subarray(100), finishWrite: true },
  ];
  const refusal = await refusalOf(clients.byteStream.write(streamOf(messages)));
  expect(refusal.rawMessage).toContain("does not follow");
  expect(await isMissing(bytes)).toBe(true);
});

test("the empty blob is always there", async () => {
  const bytes = Buffer.alloc(0);
  expect(zstdDecompressSync(await read(readName(bytes))).length).toBe(0);
  expect(await write(uploadName(bytes), zstdCompressSync(bytes))).toBe(-1);
});

test.each(PROTOCOLS)("what can't be asked for is refused ($name)", async ({ connect }) => {
  const { byteStream } = connectClients(worker.url, connect(worker.url));
  const bytes = halfRandom(100);
  await write(uploadName(bytes), zstdCompressSync(bytes));
  const read = (resourceName: string, range: { readOffset?: bigint; readLimit?: bigint } = {}) =>
    collect(byteStream.read({ resourceName, ...range }));
  expect((await read(readName(bytes))).length).toBe(1);
  expect(await codeOf(read(readName(bytes), { readLimit: 1n }))).toBe("InvalidArgument");
  expect(await codeOf(read(readName(bytes), { readOffset: 101n }))).toBe("OutOfRange");
  expect(await codeOf(read(readName(randomBytes(9))))).toBe("NotFound");
  for (const compressor of ["deflate", "brotli", "identity", "snappy"]) {
    const refusal = await refusalOf(read(readName(bytes, `compressed-blobs/${compressor}`)));
    expect(refusal.rawMessage).toContain(`compressor ${compressor} is not supported; zstd is`);
  }
});
