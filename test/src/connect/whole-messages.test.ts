import fc from "fast-check";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { wholeBody, wholeEnvelopes } from "../../../src/connect/whole-messages.ts";
import { envelope } from "../../fuzz/generators/envelopes.ts";
import { collect, streamOf } from "../clients.ts";

const MAX_BYTES = 1000;

/** Bytes, cut at places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(index === 0 ? 0 : ends[index - 1], end));
}

const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
const places = fc.array(fc.nat(), { maxLength: 12 });

test("however they come, messages go on whole, each in one piece", async () => {
  await fc.assert(
    fc.asyncProperty(messages, places, async (payloads, where) => {
      const envelopes = payloads.map((payload) => envelope(payload, 0));
      const chunks = cut(Uint8Array.from(Buffer.concat(envelopes)), where);
      const passed = await collect(wholeEnvelopes(streamOf(chunks), MAX_BYTES));
      expect(passed.map((bytes) => Buffer.from(bytes).toString("hex"))).toEqual(
        envelopes.map((bytes) => Buffer.from(bytes).toString("hex")),
      );
    }),
  );
});

test("a stream that ends within a message is INVALID_ARGUMENT, wherever that is", async () => {
  const bytes = envelope(new Uint8Array(20));
  for (let end = 1; end < bytes.length; end += 1) {
    const stream = wholeEnvelopes(streamOf([bytes.subarray(0, end)]), MAX_BYTES);
    await expect(collect(stream)).rejects.toMatchObject({ code: Code.InvalidArgument });
  }
});

test("what announces too much is let through at once, and nothing behind it", async () => {
  const bytes = envelope(new Uint8Array(20), 0, MAX_BYTES + 1);
  for (const at of [3, 5, 10]) {
    const chunks = [bytes.subarray(0, at), bytes.subarray(at)];
    const passed = await collect(wholeEnvelopes(streamOf(chunks), MAX_BYTES));
    expect(Buffer.concat(passed)).toEqual(Buffer.from(bytes.subarray(0, 5)));
  }
});

test("a body is one piece, and no more than it may be", async () => {
  const pieces = [new Uint8Array(400).fill(1), new Uint8Array(600).fill(2)];
  expect(await collect(wholeBody(streamOf(pieces), MAX_BYTES))).toEqual([Uint8Array.from(Buffer.concat(pieces))]);
  const tooMuch = collect(wholeBody(streamOf([...pieces, new Uint8Array(1)]), MAX_BYTES));
  await expect(tooMuch).rejects.toMatchObject({ code: Code.ResourceExhausted });
});
