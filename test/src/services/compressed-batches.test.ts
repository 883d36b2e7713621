import { randomBytes } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Compressor_Value } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, connectClients, digestOf, type Clients } from "../clients.ts";

const instanceName = "main";

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker();
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

const text = (length: number) => Buffer.alloc(length, randomBytes(30).toString("hex"));
const upload = (blob: Uint8Array, data: Uint8Array, compressor = Compressor_Value.ZSTD) => ({
  digest: digestOf(blob),
  data,
  compressor,
});

test("compressed blobs of a batch are stored as what they were", async () => {
  // Among them sizes at which workerd runs out of room if it gets just as much as is needed.
  const sizes = [1, 10_000, 65_536, 100_000, 200_000, 500_000, 0];
  const blobs = sizes.map(text);
  const plain = text(100);
  const requests = [
    ...blobs.map((blob) => upload(blob, zstdCompressSync(blob))),
    upload(plain, plain, Compressor_Value.IDENTITY),
  ];
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.map(({ status }) => status?.code)).toEqual(requests.map(() => 0));
  const digests = requests.map(({ digest }) => digest);
  const read = await clients.cas.batchReadBlobs({ instanceName, digests });
  expect(read.responses.map(({ data }) => Buffer.from(data))).toEqual([...blobs, plain]);
});

test("blobs are read compressed where the client can take that, and where they get smaller by it", async () => {
  const blobs = [text(10_000), text(1_000_000), randomBytes(200_000), randomBytes(20), Buffer.alloc(0)];
  await clients.cas.batchUpdateBlobs({
    instanceName,
    requests: blobs.map((blob) => upload(blob, blob, Compressor_Value.IDENTITY)),
  });
  const digests = [...blobs, randomBytes(4)].map(digestOf);
  const acceptableCompressors = [Compressor_Value.BROTLI, Compressor_Value.ZSTD];
  const { responses } = await clients.cas.batchReadBlobs({ instanceName, digests, acceptableCompressors });
  expect(responses.map(({ compressor }) => Compressor_Value[compressor])).toEqual([
    "ZSTD",
    "ZSTD",
    "IDENTITY",
    "IDENTITY",
    "IDENTITY",
    "IDENTITY",
  ]);
  expect(responses.map(({ status }) => status?.code)).toEqual([0, 0, 0, 0, 0, 5]);
  const data = responses.map(({ data, compressor }) =>
    compressor === Compressor_Value.ZSTD ? zstdDecompressSync(data) : Buffer.from(data),
  );
  blobs.forEach((blob, i) => {
    expect(data[i]?.equals(blob)).toBe(true);
  });
  expect(responses[1]?.data.length).toBeLessThan(100_000);
});

test("what does not decompress to the blob is refused by itself", async () => {
  const blob = text(1000);
  const requests = [
    upload(blob, zstdCompressSync(Buffer.alloc(50 << 20))),
    upload(text(1000), zstdCompressSync(text(1000))),
    upload(text(1000), zstdCompressSync(text(999))),
    upload(text(1000), text(1000)),
    upload(text(1000), zstdCompressSync(blob).subarray(0, 20)),
    upload(blob, blob, Compressor_Value.DEFLATE),
    upload(blob, zstdCompressSync(blob)),
  ];
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.map(({ status }) => status?.code)).toEqual([3, 3, 3, 3, 3, 3, 0]);
});

/** A zstd frame that asks for a window of 2^`windowLog` bytes: magic, descriptor, window, and one raw block (RFC 8878). */
function frame(blob: Uint8Array, windowLog: number): Uint8Array {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, 0, 0, 0]);
  header.writeUIntLE((blob.length << 3) | 1, 6, 3);
  return Buffer.concat([header, blob]);
}

test("a window of 8 MiB is taken, a larger one would only cost memory", async () => {
  const requests = [23, 24, 27].map((windowLog) => {
    const blob = text(1000);
    return upload(blob, frame(blob, windowLog));
  });
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.map(({ status }) => status?.code)).toEqual([0, 3, 3]);
});

test("a blob may come in several frames, some of which are to be skipped", async () => {
  const [first, second] = [text(100_000), text(5000)];
  const blob = Buffer.concat([first, second]);
  const skipped = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const data = Buffer.concat([
    skipped,
    zstdCompressSync(first),
    zstdCompressSync(Buffer.alloc(0)),
    zstdCompressSync(second),
    skipped,
  ]);
  const requests = [
    upload(blob, data),
    upload(text(10), Buffer.concat([data, Buffer.from([1])])),
    upload(text(10), Buffer.concat([data, zstdCompressSync(Buffer.alloc(1))])),
  ];
  const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
  expect(responses.map(({ status }) => status?.code)).toEqual([0, 3, 3]);
});

test("a batch is limited by what it decompresses to", async () => {
  const blob = Buffer.alloc(5 << 20, "a");
  const negative = { ...upload(blob, new Uint8Array(0)), digest: { ...digestOf(blob), sizeBytes: -(1n << 40n) } };
  const requests = [upload(blob, zstdCompressSync(blob)), negative];
  expect(await codeOf(clients.cas.batchUpdateBlobs({ instanceName, requests }))).toBe("InvalidArgument");
});
