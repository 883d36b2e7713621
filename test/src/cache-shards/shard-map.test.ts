import fc from "fast-check";
import { expect, test } from "vitest";
import { shardName, shardOf } from "../../../src/cache-shards/shard-map.ts";

const hash = fc.stringMatching(/^[0-9a-f]{64}$/);

test("every hash has a shard", () => {
  fc.assert(
    fc.property(hash, fc.integer({ min: 1, max: 256 }), (hash, count) => {
      const shard = shardOf(hash, count);
      expect(Number.isInteger(shard) && shard >= 0 && shard < count).toBe(true);
    }),
  );
});

test("where a hash goes never changes: stored blobs are looked for there", () => {
  expect(shardOf("00000000".padEnd(64, "f"), 4)).toBe(0);
  expect(shardOf("00000007".padEnd(64, "0"), 4)).toBe(3);
  expect(shardOf("ffffffff".padEnd(64, "0"), 256)).toBe(255);
  expect(shardOf("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 4)).toBe(2);
  expect(shardName("MAIN_STORE", 2)).toBe("MAIN_STORE/2");
});

test("hashes are spread evenly", () => {
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 4000; i++) {
    // Any 32 bits, each as likely as the other: multiples of an odd number, modulo 2^32.
    const leading = Math.imul(i, 0x9e3779b1) >>> 0;
    const shard = shardOf(leading.toString(16).padStart(8, "0").padEnd(64, "0"), 4);
    counts[shard] = (counts[shard] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(900);
});
