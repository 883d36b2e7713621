import fc from "fast-check";
import { expect, test } from "vitest";
import { type UploadTail, UploadMemory } from "../../../bridge/byte-stream/upload-tail.ts";

const UPLOAD = Buffer.from(Uint8Array.from({ length: 20_000 }, (_, index) => (index * index * 7 + index) % 251));

/** All that a tail has from `offset` on, as it is sent again. */
function* copies(tail: UploadTail, offset: number): Generator<Uint8Array> {
  for (let at = offset, copy = tail.copyFrom(at); copy !== undefined; copy = tail.copyFrom(at)) {
    yield copy;
    at += copy.length;
  }
}

/** How much it holds. */
function heldBytes(tail: UploadTail): number {
  let held = 0;
  while (tail.reaches(tail.endOffset - held - 1)) held++;
  return held;
}

test("whatever is appended and dropped, what it gives is the upload's to its end, and it holds no more than its share", () => {
  const steps = fc.array(
    fc.record({
      take: fc.nat(700),
      drop: fc.nat(UPLOAD.length),
      from: fc.nat(1500),
      uploads: fc.integer({ min: 1, max: 3 }),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 2000 }), fc.nat(100), (taken, maxTailBytes, start) => {
      const memory = new UploadMemory(2 * maxTailBytes, maxTailBytes);
      const tail = memory.open(start);
      const given: { readonly copy: Uint8Array; readonly offset: number }[] = [];
      let end = start;
      let dropped = start;
      for (const { take, drop, from, uploads } of taken) {
        const others = Array.from({ length: uploads }, () => memory.open(0));
        const data = Buffer.from(UPLOAD.subarray(end, end + take));
        tail.append(data);
        end += data.length;
        expect(tail.endOffset).toBe(end);
        // A socket's buffer is the socket's again.
        data.fill(0);
        expect(heldBytes(tail)).toBeLessThanOrEqual(maxTailBytes);

        // Most would drop all that is held.
        if (drop % 8 === 0) {
          tail.dropBefore(drop);
          dropped = Math.max(dropped, Math.min(drop, end));
        }
        expect(tail.reaches(dropped - 1)).toBe(false);
        expect(tail.reaches(end)).toBe(true);
        expect(tail.reaches(end + 1)).toBe(false);
        expect(tail.copyFrom(end)).toBeUndefined();

        const offset = end - from;
        let at = offset;
        for (const copy of copies(tail, offset)) {
          given.push({ copy, offset: at });
          at += copy.length;
        }
        expect(at).toBe(tail.reaches(offset) ? end : offset);
        for (const other of others) other.close();
      }
      for (const { copy, offset } of given) {
        expect(UPLOAD.subarray(offset, offset + copy.length).equals(copy)).toBe(true);
      }
    }),
  );
});

test("uploads beside one another and after one another have their own data each", () => {
  const steps = fc.array(fc.record({ which: fc.nat(2), take: fc.nat(900), ends: fc.boolean() }), { maxLength: 60 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 1500 }), (taken, maxTailBytes) => {
      const memory = new UploadMemory(2 * maxTailBytes, maxTailBytes);
      let begun = 0;
      const open = () => ({ tail: memory.open(0), data: new Array<number>(), value: ++begun % 256 });
      const uploads = [open(), open(), open()];
      for (const { which, take, ends } of taken) {
        const { tail, data, value } = uploads[which] ?? open();
        tail.append(new Uint8Array(take).fill(value));
        data.push(...Array.from({ length: take }, () => value));
        for (const { tail, data } of uploads) {
          const held = heldBytes(tail);
          const given = Buffer.concat([...copies(tail, data.length - held)]);
          expect(given.equals(Uint8Array.from(data.slice(data.length - held)))).toBe(true);
        }
        if (!ends) continue;
        tail.close();
        uploads[which] = open();
      }
    }),
  );
});

test("a tail holds all of its share but for a slab at each end", () => {
  const memory = new UploadMemory(1e6, 2560);
  const tail = memory.open(7);
  for (let at = 0; at < UPLOAD.length; at += 16) tail.append(UPLOAD.subarray(at, at + 16));
  expect(memory.slabBytes).toBe(10);
  expect(heldBytes(tail)).toBeGreaterThanOrEqual(2560 - 2 * 10);
  tail.dropBefore(7 + UPLOAD.length - 100);
  expect(heldBytes(tail)).toBe(100);
});

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
