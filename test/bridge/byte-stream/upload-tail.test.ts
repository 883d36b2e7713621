import fc from "fast-check";
import { expect, test } from "vitest";
import { UploadMemory } from "../../../bridge/byte-stream/upload-tail.ts";

const bytes = (text: string) => Buffer.from(text);
const text = (pieces: Uint8Array[] | undefined) =>
  pieces === undefined ? undefined : Buffer.concat(pieces).toString();

test("whatever is appended and dropped, what it gives is the upload's, and it holds no more than its share", () => {
  const upload = Array.from({ length: 500 }, (_, index) => String.fromCharCode(33 + (index % 90))).join("");
  const steps = fc.array(fc.record({ take: fc.nat(30), drop: fc.nat(600), from: fc.nat(600) }), { maxLength: 40 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 30, max: 100 }), fc.nat(100), (taken, share, start) => {
      const tail = new UploadMemory(share, share).open(start);
      let end = start;
      let dropped = start;
      for (const { take, drop, from } of taken) {
        tail.append(bytes(upload.slice(end, end + take)));
        end = Math.min(end + take, upload.length);
        expect(tail.endOffset).toBe(end);
        tail.dropBefore(drop);
        dropped = Math.max(dropped, Math.min(drop, end));
        const given = text(tail.from(from));
        if (given !== undefined) expect(given).toBe(upload.slice(from, end));
        // Less than a piece more may be missing at the front, never at the end.
        expect(given !== undefined).toBe(
          from <= end && from >= end - (text(tail.from(end)) === "" ? length(tail, end) : 0),
        );
        expect(length(tail, end)).toBeLessThanOrEqual(share);
        if (end - dropped <= share - 30) expect(text(tail.from(dropped))).toBe(upload.slice(dropped, end));
      }
    }),
  );
});

/** How much it holds. */
function length(tail: { from: (offset: number) => unknown }, end: number): number {
  let held = 0;
  while (tail.from(end - held - 1) !== undefined) held++;
  return held;
}

test("uploads share what all of them may hold, and a single one has no more than it may", () => {
  const memory = new UploadMemory(100, 60);
  const first = memory.open(0);
  expect(memory.shareBytes).toBe(60);
  const second = memory.open(0);
  expect(memory.shareBytes).toBe(50);
  second.close();
  expect(memory.shareBytes).toBe(60);
  first.close();
  expect(memory.shareBytes).toBe(60);
});
