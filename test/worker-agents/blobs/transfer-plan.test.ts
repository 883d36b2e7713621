import fc from "fast-check";
import { expect, it } from "vitest";
import { SHA256 } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";
import { planTransfers } from "../../../worker-agents/blobs/transfer-plan.ts";

it("a plan has each blob once, in order, and no batch beyond its limits", () => {
  const limits = fc.record({
    maxBatchBytes: fc.integer({ min: 200, max: 5_000 }),
    maxBatchCount: fc.integer({ min: 1, max: 10 }),
    maxInlineBytes: fc.integer({ min: 0, max: 3_000 }),
  });
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 6_000 })), limits, (sizes, given) => {
      const digests = sizes.map((size) => parseDigest(SHA256, "0".repeat(64), size));
      const { batches, streams } = planTransfers(digests, (digest) => digest, given);
      const batched = batches.flat();
      expect(batched).toEqual(digests.filter((digest) => batched.includes(digest)));
      expect(new Set([...batched, ...streams])).toEqual(new Set(digests));
      expect(batched.length + streams.length).toBe(digests.length);
      for (const batch of batches) {
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(given.maxBatchCount);
        expect(batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThan(given.maxBatchBytes);
        for (const { sizeBytes } of batch) expect(sizeBytes).toBeLessThanOrEqual(given.maxInlineBytes);
      }
    }),
  );
});
