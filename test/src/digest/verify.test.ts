import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { BLAKE3, DIGEST_FUNCTIONS } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";
import { digestMismatch, startHash } from "../../../src/digest/verify.ts";

const text = (string: string) => new TextEncoder().encode(string);

test.each(DIGEST_FUNCTIONS.filter((candidate) => candidate !== BLAKE3))("$name is Node's", (digestFunction) => {
  const hash = startHash(digestFunction).update(text("a")).update(text("bc")).digest("hex");
  expect(hash).toBe(createHash(digestFunction.name).update("abc").digest("hex"));
});

// The first two are in BLAKE3's published test vectors: no input, and bytes that count from 0 to 250 over and over.
test.each([
  [0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"],
  [1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"],
])("BLAKE3 of %i bytes is as published", (length, hash) => {
  const bytes = Uint8Array.from({ length }, (_, position) => position % 251);
  expect(startHash(BLAKE3).update(bytes).digest("hex")).toBe(hash);
});

describe.each(DIGEST_FUNCTIONS)("with $name", (digestFunction) => {
  test("bytes are told from others, and from more or fewer", () => {
    const digest = parseDigest(digestFunction, startHash(digestFunction).update(text("abc")).digest("hex"), 3);
    expect(digestMismatch(digest, text("abc"))).toBeUndefined();
    expect(digestMismatch(digest, text("abd"))?.message).toContain("have hash");
    expect(digestMismatch(digest, text("ab"))?.message).toContain("2 bytes instead of 3");
  });
});
