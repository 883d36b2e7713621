import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { digestKey, type Digest } from "../../../src/digest/digest.ts";
import { openCas, type Cas } from "../../../worker-agents/blobs/cas.ts";
import { fetchBytes } from "../../../worker-agents/blobs/fetch-blobs.ts";
import { uploadBlobs } from "../../../worker-agents/blobs/upload-blobs.ts";
import { decompressedFrames } from "../../../worker-agents/blobs/zstd.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { sha256 } from "../cas-server.ts";
import { CountingProxy } from "./counting-proxy.ts";

const never = new AbortController().signal;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker.dispose());

async function connect(options: { compresses?: boolean; maxRequestBytes?: number } = {}) {
  const proxy = await CountingProxy.start(new URL(worker.url));
  const cas = openCas({
    endpoint: proxy.url,
    instanceName: "main",
    token: undefined,
    retryPolicy: { attempts: 3, baseMs: 1, maxMs: 2 },
    callTimeoutMs: 10_000,
    maxRequestBytes: 95_000_000,
    compresses: true,
    ...options,
  });
  onTestFinished(async () => {
    cas.close();
    await proxy.close();
  });
  return { cas, proxy };
}

async function store(cas: Cas, blobs: readonly Buffer[]): Promise<Digest[]> {
  const uploads = blobs.map((bytes) => ({ digest: sha256(bytes), source: bytes }));
  await uploadBlobs(cas, uploads, never);
  return uploads.map(({ digest }) => digest);
}

/** Reads blobs, whose bytes are verified on the way. */
async function sizesOf(cas: Cas, digests: readonly Digest[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  expect(await fetchBytes(cas, digests, never, (digest, bytes) => sizes.set(digestKey(digest), bytes.length))).toEqual(
    [],
  );
  return sizes;
}

/** Text that compresses to about half. */
function digits(length: number): Buffer {
  return Buffer.from(randomBytes(length / 2).toString("hex"));
}

describe("on the way to and from the Worker", () => {
  it("small blobs are compressed where it is worth it", async () => {
    const { cas, proxy } = await connect();
    const digests = await store(cas, [
      ...Array.from({ length: 20 }, () => digits(40_000)),
      randomBytes(40_000),
      Buffer.from("x"),
    ]);
    expect(proxy.take().sentBytes).toBeLessThan(600_000);
    expect((await sizesOf(cas, digests)).size).toBe(22);
    expect(proxy.take().receivedBytes).toBeLessThan(600_000);
  });

  it("large blobs are, in several requests if need be", async () => {
    const { cas, proxy } = await connect({ maxRequestBytes: 6_500_000 });
    const digests = await store(cas, [digits(20_000_000)]);
    expect(proxy.take().sentBytes).toBeLessThan(20_000_000);
    await sizesOf(cas, digests);
    expect(proxy.take().receivedBytes).toBeLessThan(14_000_000);
  });

  it("a large blob that breaks off is taken up where it broke", async () => {
    const { cas, proxy } = await connect();
    const digests = await store(cas, [digits(6_000_000)]);
    proxy.take();
    proxy.cutAfterReceivedBytes = 2_000_000;
    await sizesOf(cas, digests);
    expect(proxy.take().receivedBytes).toBeLessThan(5_000_000);
  });

  it("large blobs that don't compress go as they are", async () => {
    const { cas, proxy } = await connect();
    const digests = await store(cas, [randomBytes(6_000_000)]);
    await sizesOf(cas, digests);
    expect(proxy.take().receivedBytes).toBeLessThan(8_000_000);
  });

  it("nothing is compressed within one machine", async () => {
    const proxy = await CountingProxy.start(new URL(worker.url));
    onTestFinished(() => proxy.close());
    const { cas } = await connect();
    const digests = await store(cas, [digits(400_000)]);
    const near = openCas({
      endpoint: proxy.url,
      instanceName: "main",
      token: undefined,
      retryPolicy: { attempts: 1, baseMs: 1, maxMs: 2 },
      callTimeoutMs: 10_000,
      maxRequestBytes: 95_000_000,
    });
    await sizesOf(near, digests);
    near.close();
    expect(proxy.take().receivedBytes).toBeGreaterThan(400_000);
  });
});

describe("a compressed stream", () => {
  async function read(digest: Digest, pieces: readonly Uint8Array[]): Promise<string> {
    const parts: Uint8Array[] = [];
    const stream = (async function* () {
      for (const piece of pieces) yield await Promise.resolve(piece);
    })();
    for await (const part of decompressedFrames(digest, stream)) parts.push(part);
    return Buffer.concat(parts).toString();
  }

  it("has frames that end anywhere", async () => {
    const frames = Buffer.concat(["one ", "two ", "three"].map((text) => zstdCompressSync(text)));
    const digest = sha256("one two three");
    expect(await read(digest, [frames])).toBe("one two three");
    expect(
      await read(
        digest,
        [...frames].map((byte) => Uint8Array.of(byte)),
      ),
    ).toBe("one two three");
  });

  it("that is none, or holds more than the blob, is corrupt", async () => {
    const corrupt = (error: unknown): boolean => ConnectError.from(error).code === Code.DataLoss;
    await expect(read(sha256("x"), [Buffer.from("no zstd at all")])).rejects.toSatisfy(corrupt);
    await expect(read(sha256("x"), [zstdCompressSync(Buffer.alloc(10_000_000))])).rejects.toSatisfy(corrupt);
  });
});
