import fc from "fast-check";
import { expect, test } from "vitest";
import { ByteSource } from "../../../src/bytes/byte-source.ts";
import { concatenate } from "../../../src/bytes/concatenate.ts";

// eslint-disable-next-line @typescript-eslint/require-await
async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

test("pieces are the chunks' bytes, whole and in order, and never longer than asked for", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 20 }));
  const asks = fc.infiniteStream(fc.integer({ min: 1, max: 30 }));
  await fc.assert(
    fc.asyncProperty(chunks, asks, async (chunks, asks) => {
      const source = new ByteSource(each(chunks));
      const pieces: Uint8Array[] = [];
      for (const maxBytes of asks) {
        const piece = await source.take(maxBytes);
        if (piece === undefined) break;
        expect(piece.length).toBeGreaterThan(0);
        expect(piece.length).toBeLessThanOrEqual(maxBytes);
        pieces.push(piece);
      }
      expect(Buffer.from(concatenate(pieces))).toEqual(Buffer.concat(chunks));
      expect(await source.take(1)).toBeUndefined();
    }),
  );
});

test("what the chunks throw is thrown", async () => {
  const source = new ByteSource(
    // eslint-disable-next-line @typescript-eslint/require-await
    (async function* () {
      yield new Uint8Array([1]);
      throw new Error("gone");
    })(),
  );
  expect(await source.take(5)).toEqual(new Uint8Array([1]));
  await expect(source.take(5)).rejects.toThrow("gone");
});
