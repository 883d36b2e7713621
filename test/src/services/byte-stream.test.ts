import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
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
  type WriteMessage,
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

function readName(bytes: Uint8Array): string {
  const { hash, sizeBytes } = digestOf(bytes);
  return `main/blobs/${hash}/${sizeBytes}`;
}

function uploadName(bytes: Uint8Array, uuid: string = randomUUID()): string {
  const { hash, sizeBytes } = digestOf(bytes);
  return `main/uploads/${uuid}/blobs/${hash}/${sizeBytes}`;
}

async function read(name: string, range: { readOffset?: bigint; readLimit?: bigint } = {}): Promise<Buffer> {
  const messages = await collect(clients.byteStream.read({ resourceName: name, ...range }));
  return Buffer.concat(messages.map(({ data }) => data));
}

async function write(...args: Parameters<typeof writeRequests>): Promise<number> {
  const { committedSize } = await clients.byteStream.write(streamOf(writeRequests(...args)));
  return Number(committedSize);
}

async function status(resourceName: string): Promise<{ committed: number; complete: boolean }> {
  const { committedSize, complete } = await clients.byteStream.queryWriteStatus({ resourceName });
  return { committed: Number(committedSize), complete };
}

async function isMissing(bytes: Uint8Array): Promise<boolean> {
  const blobDigests = [digestOf(bytes)];
  const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName: "main", blobDigests });
  return missingBlobDigests.length === 1;
}

/** How many objects R2 holds of a blob. */
async function objectsOf(bytes: Uint8Array, { mf }: TestWorker = worker): Promise<number> {
  const { hash, sizeBytes } = digestOf(bytes);
  const bucket = await mf.getR2Bucket("CAS");
  return (await bucket.list({ prefix: `MAIN_STORE/sha256/${hash}-${sizeBytes}/` })).objects.length;
}

describe.each(PROTOCOLS)("$name", ({ connect }) => {
  test.each([0, 1, 16 << 10, (16 << 10) + 1, MIB])("a blob of %i bytes is written and read", async (size) => {
    const { byteStream } = connectClients(worker.url, connect(worker.url));
    const bytes = randomBytes(size);
    const resourceName = uploadName(bytes);
    expect((await byteStream.write(streamOf(writeRequests(resourceName, bytes)))).committedSize).toBe(BigInt(size));
    const messages = await collect(byteStream.read({ resourceName: readName(bytes) }));
    expect(Buffer.concat(messages.map(({ data }) => data)).equals(bytes)).toBe(true);
    expect(await byteStream.queryWriteStatus({ resourceName })).toMatchObject({
      committedSize: BigInt(size),
      complete: true,
    });
  });

  test("what is not there is not found, and bad names are refused", async () => {
    const { byteStream } = connectClients(worker.url, connect(worker.url));
    const bytes = randomBytes(10);
    const read = (resourceName: string) => collect(byteStream.read({ resourceName }));
    const { hash } = digestOf(bytes);
    expect(await codeOf(read(readName(bytes)))).toBe("NotFound");
    expect(await codeOf(read("main/blobs/short/10"))).toBe("InvalidArgument");
    expect(await codeOf(read(`nowhere/blobs/${hash}/10`))).toBe("InvalidArgument");
    expect(await codeOf(byteStream.queryWriteStatus({ resourceName: readName(bytes) }))).toBe("InvalidArgument");
    expect(await codeOf(byteStream.write(streamOf([])))).toBe("InvalidArgument");
  });
});

describe("Read", () => {
  // In a row, as one object, and in parts.
  test.each([1000, MIB, PART_BYTES + 3 * MIB])("any range of a blob of %i bytes", async (size) => {
    const bytes = randomBytes(size);
    await write(uploadName(bytes), bytes);
    const offset = fc.oneof(fc.nat(size), fc.constantFrom(0, size - 1, size));
    const limit = fc.oneof(fc.nat(size + 10), fc.constantFrom(0, 1, size, 2 ** 40));
    await fc.assert(
      fc.asyncProperty(offset, limit, async (offset, limit) => {
        const expected = limit === 0 ? bytes.subarray(offset) : bytes.subarray(offset, offset + limit);
        const got = await read(readName(bytes), { readOffset: BigInt(offset), readLimit: BigInt(limit) });
        expect(got.equals(expected)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test("a range that is not within the blob is refused", async () => {
    const bytes = randomBytes(100);
    await write(uploadName(bytes), bytes);
    expect(await codeOf(read(readName(bytes), { readOffset: 101n }))).toBe("OutOfRange");
    expect(await codeOf(read(readName(bytes), { readOffset: -1n }))).toBe("OutOfRange");
    expect(await codeOf(read(readName(bytes), { readLimit: -1n }))).toBe("InvalidArgument");
  });

  test("comes in pieces of 256 KiB, the first long before the last", async () => {
    const bytes = randomBytes(9 * MIB);
    await write(uploadName(bytes), bytes);
    const sizes: number[] = [];
    // Stops after three pieces: what has not been asked for is not sent.
    for await (const { data } of clients.byteStream.read({ resourceName: readName(bytes) })) {
      sizes.push(data.length);
      if (sizes.length === 3) break;
    }
    expect(sizes).toEqual([256 << 10, 256 << 10, 256 << 10]);
    expect((await read(readName(bytes))).equals(bytes)).toBe(true);
  });
});

describe("Write", () => {
  test("whatever the sizes of the messages", async () => {
    const cases = fc.record({
      size: fc.integer({ min: 1, max: 100_000 }),
      chunkBytes: fc.integer({ min: 500, max: 50_000 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ size, chunkBytes }) => {
        const bytes = randomBytes(size);
        expect(await write(uploadName(bytes), bytes, { chunkBytes })).toBe(size);
        expect((await read(readName(bytes))).equals(bytes)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("only the first message needs the name, and finish_write may come alone", async () => {
    const bytes = randomBytes(40_000);
    const messages = [
      { resourceName: uploadName(bytes), data: bytes.subarray(0, 10_000) },
      { writeOffset: 10_000n, data: bytes.subarray(10_000) },
      { writeOffset: 40_000n, finishWrite: true },
    ];
    expect((await clients.byteStream.write(streamOf(messages))).committedSize).toBe(40_000n);
    expect((await read(readName(bytes))).equals(bytes)).toBe(true);
  });

  test.each([PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 20 * MIB])("a large blob: %i bytes", async (size) => {
    const bytes = randomBytes(size);
    expect(await write(uploadName(bytes), bytes, { chunkBytes: MIB })).toBe(size);
    expect((await read(readName(bytes))).equals(bytes)).toBe(true);
    expect(await objectsOf(bytes)).toBe(1);
  });

  test("a blob that is there ends the upload at once, with its size as committed (bazel#14654, bazel#19513)", async () => {
    const bytes = randomBytes(20 * MIB);
    await write(uploadName(bytes), bytes, { chunkBytes: MIB });
    const resourceName = uploadName(bytes);
    let sentMessages = 0;
    const messages = (async function* () {
      for (const message of writeRequests(resourceName, bytes.subarray(0, 3 * MIB), {
        chunkBytes: MIB,
        finish: false,
      })) {
        sentMessages++;
        yield message;
      }
      await Promise.resolve();
    })();
    const { committedSize } = await clients.byteStream.write(messages);
    expect(committedSize).toBe(BigInt(bytes.length));
    expect(sentMessages).toBe(3);
    expect(await objectsOf(bytes)).toBe(1);
  });

  describe.each([
    ["in a row", 1000],
    ["as one object", 100_000],
    ["in parts", 9 * MIB],
  ])("to be stored %s", (_where, size) => {
    let bytes: Buffer;
    beforeEach(() => {
      bytes = randomBytes(size);
    });
    const chunkBytes = Math.ceil(size / 4);
    const messages = () => [...writeRequests(uploadName(bytes), bytes, { chunkBytes })];
    const writeChanged = (change: (messages: WriteMessage[]) => WriteMessage[]) =>
      refusalOf(clients.byteStream.write(streamOf(change(messages()))));

    test("bytes that don't have the digest are refused and nothing is stored", async () => {
      const changed = Buffer.from(bytes);
      changed[5] = (changed[5] ?? 0) ^ 1;
      const resourceName = uploadName(bytes);
      const refusal = await refusalOf(clients.byteStream.write(streamOf(writeRequests(resourceName, changed))));
      expect(refusal.rawMessage).toContain("the bytes sent for blob sha256/");
      expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
      expect(await isMissing(bytes)).toBe(true);
      await expect.poll(() => objectsOf(bytes)).toBe(0);
      expect(await status(resourceName)).toEqual({ committed: 0, complete: false });
    });

    test("more bytes than the digest says are refused", async () => {
      const refusal = await writeChanged((messages) => {
        const last = messages.pop();
        return [...messages, { ...last, finishWrite: false }, { writeOffset: BigInt(size), data: randomBytes(1) }];
      });
      expect(await isMissing(bytes)).toBe(true);
      expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
      expect(refusal.rawMessage).toContain(`the digest says ${bytes.length}`);
    });

    test("an upload that is finished too early is refused", async () => {
      const refusal = await writeChanged(([first]) => [{ ...first, finishWrite: true }]);
      expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
      expect(refusal.rawMessage).toContain(`${chunkBytes} bytes were written and finished`);
      expect(await isMissing(bytes)).toBe(true);
    });

    test("an offset that does not follow is refused", async () => {
      const refusal = await writeChanged(([first, , third]) => [{ ...first }, { ...third }]);
      expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
      expect(refusal.rawMessage).toContain("does not follow");
      expect(await isMissing(bytes)).toBe(true);
    });

    test("a beginning where nothing is committed is refused, naming what is", async () => {
      const refusal = await writeChanged(([, second]) => [{ ...second }]);
      expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
      expect(refusal.rawMessage).toContain("0 bytes are committed");
    });

    test("a change of the name is refused", async () => {
      const refusal = await writeChanged(([first, second]) => [
        { ...first },
        { ...second, resourceName: uploadName(bytes) },
      ]);
      expect(await codeOf(Promise.reject(refusal))).toBe("InvalidArgument");
      expect(refusal.rawMessage).toContain("resource_name changed");
    });

    test("an upload that ends before its end is no error, and what is committed is told", async () => {
      const resourceName = uploadName(bytes);
      const half = bytes.subarray(0, Math.floor(bytes.length / 2));
      expect(await write(resourceName, half, { finish: false, chunkBytes: size })).toBe(0);
      expect(await status(resourceName)).toEqual({ committed: 0, complete: false });
      expect(await write(resourceName, bytes, { chunkBytes })).toBe(bytes.length);
      expect((await read(readName(bytes))).equals(bytes)).toBe(true);
      expect(await objectsOf(bytes)).toBe(bytes.length <= 16 << 10 ? 0 : 1);
    });
  });

  test("uploads of one blob at the same time don't disturb each other, and each is answered (bazel#19513)", async () => {
    for (const size of [500, 60_000, 10 * MIB]) {
      const bytes = randomBytes(size);
      const committed = await Promise.all(
        Array.from({ length: 5 }, () => write(uploadName(bytes), bytes, { chunkBytes: MIB })),
      );
      expect(committed).toEqual([size, size, size, size, size]);
      expect((await read(readName(bytes))).equals(bytes)).toBe(true);
      // The objects that came too late are removed by the index's alarm.
      await expect.poll(() => objectsOf(bytes)).toBe(size === 500 ? 0 : 1);
    }
  });
});

describe("an upload in parts that breaks off", () => {
  const bytes = randomBytes(18 * MIB);

  /** Uploads in attempts that each end after a number of bytes, taking up what is committed. */
  async function uploadInAttempts(resourceName: string, whole: Uint8Array, cuts: readonly number[]): Promise<number> {
    let committed = 0;
    for (const cut of cuts) {
      const upTo = Math.min(committed + cut, whole.length - 1);
      const told = await write(resourceName, whole.subarray(0, upTo), {
        offsetBytes: committed,
        finish: false,
        chunkBytes: MIB,
      });
      const expected = Math.floor(upTo / PART_BYTES) * PART_BYTES;
      expect(told).toBe(expected);
      expect(await status(resourceName)).toEqual({ committed: expected, complete: false });
      committed = expected;
    }
    return write(resourceName, whole, { offsetBytes: committed, chunkBytes: MIB });
  }

  test("is taken up wherever it was cut, and is whole", async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 12 * MIB }), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.nat(255), async (cuts, first) => {
        const blob = Buffer.from(bytes);
        blob[0] = first;
        blob.writeUInt32LE(
          cuts.reduce((sum, cut) => sum + cut, 0),
          1,
        );
        expect(await uploadInAttempts(uploadName(blob), blob, cuts)).toBe(blob.length);
        expect((await read(readName(blob))).equals(blob)).toBe(true);
      }),
      { numRuns: 3 },
    );
  });

  test("whose call comes to its deadline goes on with the next call, not from its beginning (redpanda#31358)", async () => {
    const blob = randomBytes(18 * MIB);
    const resourceName = uploadName(blob);
    let committed = 0;
    // A machine that is so busy that a part takes longer gets more time.
    for (let timeoutMs = 1000; committed === 0; timeoutMs *= 2) {
      const { promise: over, resolve: end } = Promise.withResolvers<undefined>();
      const slow = (async function* () {
        yield* writeRequests(resourceName, blob.subarray(0, 9 * MIB), { chunkBytes: MIB, finish: false });
        await over;
      })();
      expect(await codeOf(clients.byteStream.write(slow, { timeoutMs }))).toBe("DeadlineExceeded");
      end(undefined);
      ({ committed } = await status(resourceName));
    }
    expect(committed).toBe(PART_BYTES);
    expect(await write(resourceName, blob, { offsetBytes: committed, chunkBytes: MIB })).toBe(blob.length);
    expect((await read(readName(blob))).equals(blob)).toBe(true);
  });

  test("is verified as a whole: a part of another blob makes it refused", async () => {
    const changed = Buffer.from(bytes);
    changed[3 * MIB] = (changed[3 * MIB] ?? 0) ^ 1;
    const resourceName = uploadName(bytes);
    expect(await write(resourceName, changed.subarray(0, 9 * MIB), { finish: false })).toBe(PART_BYTES);
    const resumed = write(resourceName, bytes, { offsetBytes: PART_BYTES, chunkBytes: MIB });
    expect(await codeOf(resumed)).toBe("InvalidArgument");
    expect(await isMissing(bytes)).toBe(true);
    await expect.poll(() => objectsOf(bytes)).toBe(0);
    expect(await status(resourceName)).toEqual({ committed: 0, complete: false });
  });

  test("is resumed at what is committed only, or begun anew", async () => {
    const resourceName = uploadName(bytes);
    expect(await write(resourceName, bytes.subarray(0, 17 * MIB), { finish: false, chunkBytes: MIB })).toBe(16 * MIB);
    const early = refusalOf(write(resourceName, bytes, { offsetBytes: PART_BYTES, chunkBytes: MIB }));
    expect((await early).rawMessage).toContain(`${16 * MIB} bytes are committed`);
    expect(await write(resourceName, bytes.subarray(0, 9 * MIB), { finish: false, chunkBytes: MIB })).toBe(PART_BYTES);
    expect(await status(resourceName)).toEqual({ committed: PART_BYTES, complete: false });
    expect(await status(uploadName(bytes))).toEqual({ committed: 0, complete: false });
  });

  test("gives way to a call that begins it anew, which goes on undisturbed", async () => {
    const resourceName = uploadName(bytes);
    const { promise: replaced, resolve: proceed } = Promise.withResolvers<undefined>();
    const slow = clients.byteStream.write(
      (async function* () {
        yield* writeRequests(resourceName, bytes.subarray(0, 9 * MIB), { finish: false, chunkBytes: MIB });
        await replaced;
        const rest = { offsetBytes: 9 * MIB, finish: false, chunkBytes: MIB };
        yield* writeRequests(resourceName, bytes.subarray(0, 17 * MIB), rest);
      })(),
    );
    while ((await status(resourceName)).committed < PART_BYTES);
    expect(await write(resourceName, bytes.subarray(0, 10 * MIB), { finish: false, chunkBytes: MIB })).toBe(PART_BYTES);
    proceed(undefined);
    expect(["Aborted", "Unavailable"]).toContain(await codeOf(slow));
    expect(await write(resourceName, bytes, { offsetBytes: PART_BYTES, chunkBytes: MIB })).toBe(bytes.length);
    expect((await read(readName(bytes))).equals(bytes)).toBe(true);
    expect(await objectsOf(bytes)).toBe(1);
  });

  test("survives a broken connection and a restart of the Worker", async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), "remex-resume-"));
    const blob = randomBytes(25 * MIB);
    const resourceName = uploadName(blob);
    try {
      const first = await startWorker({ dataDirectory });
      const { byteStream } = connectClients(first.url);
      const committed = async (client: Clients["byteStream"]) =>
        Number((await client.queryWriteStatus({ resourceName })).committedSize);
      const abort = new AbortController();
      const broken = byteStream.write(
        (async function* () {
          yield* writeRequests(resourceName, blob.subarray(0, 20 * MIB), { finish: false, chunkBytes: MIB });
          // The connection breaks once two parts are durable, in the middle of the third.
          while ((await committed(byteStream)) < 2 * PART_BYTES);
          abort.abort();
        })(),
        { signal: abort.signal },
      );
      await expect(broken).rejects.toBeInstanceOf(ConnectError);
      await first.dispose();

      const second = await startWorker({ dataDirectory });
      const resumed = connectClients(second.url).byteStream;
      const offsetBytes = await committed(resumed);
      expect(offsetBytes).toBe(2 * PART_BYTES);
      const rest = writeRequests(resourceName, blob, { offsetBytes, chunkBytes: MIB });
      expect((await resumed.write(streamOf(rest))).committedSize).toBe(BigInt(blob.length));
      const messages = await collect(resumed.read({ resourceName: readName(blob) }));
      expect(Buffer.concat(messages.map(({ data }) => data)).equals(blob)).toBe(true);
      expect(await objectsOf(blob, second)).toBe(1);
      await second.dispose();
    } finally {
      await rm(dataDirectory, { recursive: true, force: true });
    }
  });
});
