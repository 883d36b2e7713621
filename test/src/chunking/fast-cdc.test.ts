import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutIntoChunks, firstChunkBytes, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from "../../../src/chunking/fast-cdc.ts";
import { GEAR_HIGH, GEAR_LOW } from "../../../src/chunking/gear-table.ts";

/** Bytes that look random and are the same everywhere: the top bytes of a 32-bit xorshift. */
function pseudoRandom(length: number, seed = 0x12345678): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes.length; position += pieceBytes) {
    yield await Promise.resolve(bytes.subarray(position, position + pieceBytes));
  }
}

async function cut(bytes: Uint8Array, pieceBytes = 1_000_000): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of cutIntoChunks(inPieces(bytes, pieceBytes))) chunks.push(chunk);
  return chunks;
}

const lengthsOf = (chunks: readonly Uint8Array[]) => chunks.map(({ length }) => length);

const DATA = pseudoRandom(20_000_003);

/** What the Rust crate fastcdc 3 (v2020, level 2, the same sizes) makes of DATA. */
const DATA_LENGTHS = [
  526421, 554776, 555680, 166406, 229957, 206934, 629890, 560222, 675764, 524367, 534024, 184515, 593849, 881155,
  594553, 282167, 601504, 538515, 1032899, 661317, 685362, 805324, 619969, 498868, 289997, 586577, 971615, 586183,
  575274, 526061, 593712, 656772, 154181, 571009, 615660, 696370, 32154,
];

test("the table begins as the published one", () => {
  expect(GEAR_HIGH[0]).toBe(0x3b5d3c7d);
  expect(GEAR_LOW[0]).toBe(0x207e37dc);
  expect([GEAR_HIGH[10], GEAR_LOW[10]]).toEqual([0x0027baaa, 0xda2acf6b | 0]);
});

test("chunks are those of another implementation", async () => {
  expect(lengthsOf(await cut(DATA))).toEqual(DATA_LENGTHS);
});

test("it doesn't matter in which pieces the bytes come", async () => {
  const bytes = DATA.subarray(0, 3_000_000);
  const whole = lengthsOf(await cut(bytes));
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1000, max: 3_000_000 }), async (pieceBytes) => {
      expect(lengthsOf(await cut(bytes, pieceBytes))).toEqual(whole);
    }),
    { numRuns: 10 },
  );
});

test("chunks are the bytes, and within their limits but for the last", async () => {
  // What has no cut points, too.
  for (const bytes of [DATA, new Uint8Array(5_000_000), new Uint8Array(5_000_000).fill(255)]) {
    const chunks = await cut(bytes);
    expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0);
    const lengths = lengthsOf(chunks.slice(0, -1));
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(MIN_CHUNK_BYTES);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
  }
});

test("an insertion changes the chunks around it only", async () => {
  const changed = Buffer.concat([DATA.subarray(0, 7_000_000), Buffer.from("inserted"), DATA.subarray(7_000_000)]);
  const before = new Set((await cut(DATA)).map((chunk) => Buffer.from(chunk).toString("base64")));
  const after = (await cut(changed)).map((chunk) => Buffer.from(chunk).toString("base64"));
  expect(after.filter((chunk) => !before.has(chunk)).length).toBeLessThanOrEqual(3);
});

describe("small blobs", () => {
  test.each([0, 1, 1000, MIN_CHUNK_BYTES, MIN_CHUNK_BYTES + 1])("of %i bytes are one chunk", async (length) => {
    expect(lengthsOf(await cut(DATA.subarray(0, length)))).toEqual(length === 0 ? [] : [length]);
  });

  test("an odd last byte is not looked at, and so is no place for a cut", () => {
    const [first = 0, second = 0] = DATA_LENGTHS;
    expect(second % 2).toBe(0);
    const upTo = (lengthBytes: number) => firstChunkBytes(DATA.subarray(first, first + lengthBytes));
    // The byte at the cut is what decides on it.
    expect([upTo(second + 2), upTo(second + 1), upTo(second)]).toEqual([second, second + 1, second]);
  });
});
