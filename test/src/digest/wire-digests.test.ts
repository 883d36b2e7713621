import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DigestSchema,
  FindMissingBlobsRequestSchema,
  FindMissingBlobsResponseSchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestAt } from "../../../src/digest/digest-columns.ts";
import { DIGEST_FUNCTIONS, SHA256 } from "../../../src/digest/digest-function.ts";
import { WireDigests } from "../../../src/digest/wire-digests.ts";

const FIELD = 2;
const HASH = "0123456789abcdef".repeat(4);

const hexOf = (length: number) =>
  fc.uint8Array({ minLength: length / 2, maxLength: length / 2 }).map((bytes) => Buffer.from(bytes).toString("hex"));

const digestsOf = (hexLength: number) =>
  fc.array(fc.record({ hash: hexOf(hexLength), sizeBytes: fc.bigInt(0n, BigInt(Number.MAX_SAFE_INTEGER)) }), {
    minLength: 1,
    maxLength: 40,
  });

const request = fc.constantFrom(...DIGEST_FUNCTIONS).chain((digestFunction) =>
  fc.record({
    digestFunction: fc.constant(digestFunction),
    instanceName: fc.string(),
    blobDigests: digestsOf(digestFunction.hexLength),
  }),
);

function encode(blobDigests: Digest[]): Uint8Array {
  return toBinary(FindMissingBlobsRequestSchema, create(FindMissingBlobsRequestSchema, { blobDigests }));
}

test("the digests of any request are those that decoding finds, and the rest is the request without them", () => {
  fc.assert(
    fc.property(request, fc.infiniteStream(fc.boolean()), ({ digestFunction, instanceName, blobDigests }, coins) => {
      const message = create(FindMissingBlobsRequestSchema, {
        instanceName,
        blobDigests,
        digestFunction: digestFunction.value,
      });
      const read = WireDigests.read(toBinary(FindMissingBlobsRequestSchema, message), FIELD);
      if (read === undefined) throw new Error("not read");
      const { digests, rest } = read;
      expect({ ...fromBinary(FindMissingBlobsRequestSchema, rest) }).toEqual({ ...message, blobDigests: [] });

      const columns = digests.columns(digestFunction);
      const found = Array.from({ length: digests.count }, (_, position) => digestAt(columns, position));
      expect(found.map(({ hash, sizeBytes }) => ({ hash, sizeBytes: BigInt(sizeBytes) }))).toEqual(blobDigests);

      const chosen = Uint8Array.from(blobDigests, () => (coins.next().value ? 1 : 0));
      const { missingBlobDigests } = fromBinary(FindMissingBlobsResponseSchema, digests.fields(chosen));
      expect(missingBlobDigests).toEqual(message.blobDigests.filter((_, position) => chosen[position] === 1));
    }),
  );
});

test("no bytes at all are read as digests that decoding wouldn't find", () => {
  const message = Buffer.from(encode([digest(HASH, 5n), digest(HASH, 0n), digest(HASH, 1n << 40n)]));
  fc.assert(
    fc.property(fc.nat(message.length - 1), fc.nat(255), fc.nat(message.length), (at, byte, end) => {
      const bytes = Uint8Array.from(message.subarray(0, Math.max(end, at + 1)));
      bytes[at] = byte;
      const read = WireDigests.read(bytes, FIELD);
      if (read === undefined) return;
      const { blobDigests } = fromBinary(FindMissingBlobsRequestSchema, bytes);
      expect(blobDigests.map(({ hash }) => hash.length)).toEqual(blobDigests.map(() => read.digests.hexLength));
      if (read.digests.hexLength !== SHA256.hexLength) return;
      const columns = read.digests.columns(SHA256);
      expect(blobDigests.map(({ hash, sizeBytes }) => ({ hash, sizeBytes: Number(sizeBytes) }))).toEqual(
        blobDigests.map((_, position) => {
          const { hash, sizeBytes } = digestAt(columns, position);
          return { hash, sizeBytes };
        }),
      );
    }),
    { numRuns: 5000 },
  );
});

describe("what has to be decoded", () => {
  const good = digest(HASH, 5n);
  const field = (number: number, bytes: readonly number[]) => [number * 8 + 2, bytes.length, ...bytes];
  const hash = [0x0a, 64, ...Buffer.from(HASH)];
  test.each<[string, Uint8Array]>([
    ["no digests", encode([])],
    ["nothing", new Uint8Array(0)],
    ["JSON", Buffer.from(`{"blobDigests":[{"hash":"${HASH}"}]}`)],
    ["an upper-case digit", encode([good, digest(HASH.replace("a", "A"), 5n)])],
    ["a byte that is none of hex", encode([good, digest(HASH.replace("0", "é").slice(0, 63), 5n)])],
    ["an empty hash", encode([digest("", 5n)])],
    ["an odd hash", encode([digest("abc", 5n)])],
    ["hashes of two lengths", encode([good, digest(HASH.slice(0, 40), 5n)])],
    ["a size below 0", encode([good, digest(HASH, -1n)])],
    ["a size of 2^53", encode([good, digest(HASH, 1n << 53n)])],
    ["a digest without a hash", Uint8Array.from(field(2, [0x10, 5]))],
    ["the size before the hash", Uint8Array.from(field(2, [0x10, 5, ...hash]))],
    ["two sizes", Uint8Array.from(field(2, [...hash, 0x10, 5, 0x10, 6]))],
    ["a field that a digest doesn't have", Uint8Array.from(field(2, [...hash, 0x10, 5, ...field(3, [1])]))],
    ["a field between digests", Buffer.concat([encode([good]), Uint8Array.from(field(1, [65])), encode([good])])],
    ["a group", Buffer.concat([encode([good]), Uint8Array.from([0x23, 0x24])])],
    ["the beginning of a digest", encode([good, good]).subarray(0, -3)],
  ])("%s", (_, message) => {
    expect(WireDigests.read(message, FIELD)).toBeUndefined();
  });
});

function digest(hash: string, sizeBytes: bigint): Digest {
  return create(DigestSchema, { hash, sizeBytes });
}
