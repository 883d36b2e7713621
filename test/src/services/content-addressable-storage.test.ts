import { randomBytes } from "node:crypto";
import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  Compressor_Value,
  ContentAddressableStorage,
  DigestFunction_Value,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, connectClients, digestOf, PROTOCOLS, refusalOf, type Clients } from "../clients.ts";

const instanceName = "main";
const MAX_BATCH_BYTES = 4_063_232;

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker();
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

const uploads = (blobs: readonly Uint8Array[]) => blobs.map((data) => ({ data, digest: digestOf(data) }));

describe.each(PROTOCOLS)("$name", ({ connect }) => {
  test("blobs are missing, are stored, are there, and come back", async () => {
    const { cas } = connectClients(worker.url, connect(worker.url));
    // In a row, at the limit of what a row holds, and in R2. A random blob of less would not always be a new one.
    const blobs = [16, 16 << 10, (16 << 10) + 1, 300_000].map((size) => randomBytes(size));
    const digests = blobs.map(digestOf);
    const absent = digestOf(randomBytes(9));
    const blobDigests = [absent, ...digests];
    expect((await cas.findMissingBlobs({ instanceName, blobDigests })).missingBlobDigests).toEqual(blobDigests);

    const { responses } = await cas.batchUpdateBlobs({ instanceName, requests: uploads(blobs) });
    expect(responses.map(({ digest }) => digest)).toEqual(digests);
    expect(responses.map(({ status }) => status?.code)).toEqual([0, 0, 0, 0]);

    expect((await cas.findMissingBlobs({ instanceName, blobDigests })).missingBlobDigests).toEqual([absent]);
    const read = await cas.batchReadBlobs({ instanceName, digests: blobDigests });
    expect(read.responses.map(({ digest }) => digest)).toEqual(blobDigests);
    expect(read.responses.map(({ status }) => status?.code)).toEqual([5, 0, 0, 0, 0]);
    expect(read.responses.slice(1).map(({ data }) => Buffer.from(data))).toEqual(blobs);
  });

  test("an unknown instance and a malformed digest are refused", async () => {
    const { cas } = connectClients(worker.url, connect(worker.url));
    expect(await codeOf(cas.findMissingBlobs({ instanceName: "nowhere" }))).toBe("InvalidArgument");
    expect(await codeOf(cas.batchUpdateBlobs({ instanceName: "nowhere" }))).toBe("InvalidArgument");
    expect(await codeOf(cas.batchReadBlobs({ instanceName: "nowhere" }))).toBe("InvalidArgument");
    const blobDigests = [digestOf(randomBytes(3)), { hash: "F".repeat(64), sizeBytes: 1n }];
    const refusal = await refusalOf(cas.findMissingBlobs({ instanceName, blobDigests }));
    expect(refusal.rawMessage).toContain("is not 64 lower-case hex digits");
  });
});

describe("FindMissingBlobs", () => {
  test("the empty blob is there without ever having been stored (bazel#11063)", async () => {
    const empty = digestOf(new Uint8Array(0));
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName, blobDigests: [empty] });
    expect(missingBlobDigests).toEqual([]);
  });

  test("another hash of size 0 is nobody's, and can't be stored", async () => {
    const impossible = { hash: "0".repeat(64), sizeBytes: 0n };
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName, blobDigests: [impossible] });
    expect(missingBlobDigests).toMatchObject([impossible]);
    const requests = [{ digest: impossible, data: new Uint8Array(0) }];
    const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
    expect(responses[0]?.status?.code).toBe(3);
  });

  test("a blob is what it is by hash and size", async () => {
    const data = randomBytes(100);
    const digest = digestOf(data);
    await clients.cas.batchUpdateBlobs({ instanceName, requests: [{ digest, data }] });
    const otherSize = { hash: digest.hash, sizeBytes: 101n };
    const blobDigests = [otherSize, digest];
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName, blobDigests });
    expect(missingBlobDigests).toMatchObject([otherSize]);
  });

  test("12,000 digests are answered at once, each occurrence of a digest for itself", async () => {
    const blobs = Array.from({ length: 1000 }, (_, i) => Buffer.from(`blob ${i}`));
    await clients.cas.batchUpdateBlobs({ instanceName, requests: uploads(blobs) });
    const present = blobs.map(digestOf);
    const absent = Array.from({ length: 10_000 }, (_, i) => digestOf(Buffer.from(`absent ${i}`)));
    const blobDigests = [...absent.slice(0, 5000), ...present, ...absent.slice(5000), ...absent.slice(0, 1000)];
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName, blobDigests });
    expect(missingBlobDigests).toEqual([...absent, ...absent.slice(0, 1000)]);
  });

  test("hashes that the named digest function doesn't make are refused, naming one", async () => {
    const blobDigests = [{ hash: "0".repeat(40), sizeBytes: 1n }];
    const refusal = await refusalOf(
      clients.cas.findMissingBlobs({ instanceName, blobDigests, digestFunction: DigestFunction_Value.SHA256 }),
    );
    expect(refusal.code).toBe(Code.InvalidArgument);
    expect(refusal.rawMessage).toContain(`"${"0".repeat(40)}" is not 64 lower-case hex digits`);
  });

  test("digests are answered however they are written down, with all that is in them", async () => {
    const [stored, absent] = [randomBytes(40), randomBytes(40)];
    await clients.cas.batchUpdateBlobs({ instanceName, requests: uploads([stored]) });
    const hashField = (bytes: Uint8Array) => [0x0a, 64, ...Buffer.from(digestOf(bytes).hash)];
    const field = (bytes: readonly number[]) => [0x12, bytes.length, ...bytes];
    const unknown = [0x1a, 1, 7];
    const request = [
      ...[0x0a, instanceName.length, ...Buffer.from(instanceName)],
      ...[stored, absent].flatMap((bytes) => field([0x10, 40, ...hashField(bytes)])),
      ...[stored, absent].flatMap((bytes) => field([...hashField(bytes), 0x10, 40, ...unknown])),
    ];
    const response = await fetch(`${worker.url}/${ContentAddressableStorage.typeName}/FindMissingBlobs`, {
      method: "POST",
      headers: { "content-type": "application/proto" },
      body: Uint8Array.from(request),
    });
    expect(response.status).toBe(200);
    expect([...(await response.bytes())]).toEqual([
      ...field([...hashField(absent), 0x10, 40]),
      ...field([...hashField(absent), 0x10, 40, ...unknown]),
    ]);
  });

  test("nothing asked is nothing missing", async () => {
    expect((await clients.cas.findMissingBlobs({ instanceName })).missingBlobDigests).toEqual([]);
  });
});

describe("batches", () => {
  test("each blob has its own verdict", async () => {
    const good = randomBytes(50);
    const changed = randomBytes(50);
    const tooShort = randomBytes(50);
    const large = randomBytes(20_000);
    const requests = [
      { digest: digestOf(good), data: good },
      { digest: digestOf(changed), data: Buffer.concat([changed.subarray(1), Buffer.from("x")]) },
      { digest: digestOf(tooShort), data: tooShort.subarray(1) },
      { digest: { hash: "short", sizeBytes: 50n }, data: good },
      { data: good },
      { digest: digestOf(good), data: good, compressor: Compressor_Value.DEFLATE },
      { digest: digestOf(large), data: Buffer.concat([large.subarray(1), Buffer.from("x")]) },
    ];
    const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests });
    expect(responses.map(({ status }) => status?.code)).toEqual([0, 3, 3, 3, 3, 3, 3]);
    const messages = responses.map(({ status }) => status?.message);
    expect(messages[1]).toContain("have hash");
    expect(messages[2]).toContain("49 bytes instead of 50");
    expect(messages[3]).toContain("digest function");
    expect(messages[4]).toContain("requests[4].digest is not set");
    expect(messages[5]).toContain("compressor DEFLATE");
    const blobDigests = [digestOf(good), digestOf(changed), digestOf(tooShort), digestOf(large)];
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({ instanceName, blobDigests });
    expect(missingBlobDigests).toEqual(blobDigests.slice(1));
  });

  test("a batch at the limit is taken and given; one byte more is refused", async () => {
    const blobs = [randomBytes(MAX_BATCH_BYTES - 1000), randomBytes(1000)];
    const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests: uploads(blobs) });
    expect(responses.map(({ status }) => status?.code)).toEqual([0, 0]);
    const read = await clients.cas.batchReadBlobs({ instanceName, digests: blobs.map(digestOf) });
    expect(read.responses.map(({ data }) => Buffer.from(data).equals(Buffer.from([])))).toEqual([false, false]);
    expect(read.responses.map(({ data }) => digestOf(data))).toEqual(blobs.map(digestOf));

    const more = [...blobs, randomBytes(1)];
    const write = await refusalOf(clients.cas.batchUpdateBlobs({ instanceName, requests: uploads(more) }));
    expect(write.rawMessage).toContain(`at most ${MAX_BATCH_BYTES} are allowed`);
    const digests = [...blobs.map(digestOf), digestOf(randomBytes(1))];
    expect(await codeOf(clients.cas.batchReadBlobs({ instanceName, digests }))).toBe("InvalidArgument");
  });

  test("a message that is far too large is refused, and nothing else is disturbed", async () => {
    const data = randomBytes(9 << 20);
    const requests = [{ digest: digestOf(data), data }];
    expect(await codeOf(clients.cas.batchUpdateBlobs({ instanceName, requests }))).toBe("ResourceExhausted");
    expect((await clients.cas.findMissingBlobs({ instanceName })).missingBlobDigests).toEqual([]);
  });

  test("the digest function may be named; one that is not accepted is refused", async () => {
    const data = randomBytes(10);
    const digest = digestOf(data);
    const stored = await clients.cas.batchUpdateBlobs({
      instanceName,
      digestFunction: DigestFunction_Value.SHA256,
      requests: [{ digest, data }],
    });
    expect(stored.responses[0]?.status?.code).toBe(0);
    const refusal = await refusalOf(
      clients.cas.findMissingBlobs({ instanceName, digestFunction: DigestFunction_Value.MD5, blobDigests: [digest] }),
    );
    expect(refusal.rawMessage).toContain("digest function MD5 is not accepted here; accepted: sha256, blake3");
  });

  test("whatever is stored comes back, whatever the sizes, repetitions and what was there before", async () => {
    const sizes = fc.oneof(fc.nat(100), fc.nat(40_000), fc.constantFrom(0, 16_383, 16_384, 16_385));
    // Few different contents, so that blobs meet again within a batch and in later ones.
    const blob = fc.record({ size: sizes, fill: fc.nat(3) }).map(({ size, fill }) => Buffer.alloc(size, fill));
    await fc.assert(
      fc.asyncProperty(fc.array(blob, { maxLength: 12 }), async (blobs) => {
        const { responses } = await clients.cas.batchUpdateBlobs({ instanceName, requests: uploads(blobs) });
        expect(responses.every(({ status }) => status?.code === 0)).toBe(true);
        const digests = blobs.map(digestOf);
        expect((await clients.cas.findMissingBlobs({ instanceName, blobDigests: digests })).missingBlobDigests).toEqual(
          [],
        );
        const read = await clients.cas.batchReadBlobs({ instanceName, digests });
        expect(read.responses.map(({ data }) => Buffer.from(data))).toEqual(blobs);
      }),
      { numRuns: 30 },
    );
  });
});
