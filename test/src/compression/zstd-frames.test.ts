import { randomBytes } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ZstdFormatError, ZstdFrameScanner } from "../../../src/compression/zstd-frames.ts";

/** Scans all of `bytes` in pieces: how long the first frame is, and its window. */
function scan(bytes: Uint8Array, pieceBytes = bytes.length): { frameBytes: number; ended: boolean; window?: number } {
  const scanner = new ZstdFrameScanner();
  let frameBytes = 0;
  for (let position = 0; position < bytes.length; position += pieceBytes) {
    const { lengthBytes, ended } = scanner.scan(bytes.subarray(position, position + pieceBytes));
    frameBytes += lengthBytes;
    if (ended) return { frameBytes, ended, ...(scanner.windowBytes !== undefined && { window: scanner.windowBytes }) };
  }
  return { frameBytes, ended: false };
}

const contents = [
  Buffer.alloc(0),
  Buffer.from("a"),
  Buffer.alloc(255, "b"),
  Buffer.alloc(256, "c"),
  Buffer.alloc(70_000, "run length"),
  Buffer.alloc(300_000),
  randomBytes(300_000),
  Buffer.concat([randomBytes(200_000), Buffer.alloc(200_000), Buffer.alloc(200_000, "text of some kind")]),
];

describe("a frame ends where it does", () => {
  test.each([0, 1])("whatever it holds, with %i checksums", (checksum) => {
    for (const content of contents) {
      for (const level of [1, 3, 19]) {
        const params = {
          [constants.ZSTD_c_checksumFlag]: checksum,
          [constants.ZSTD_c_compressionLevel]: level,
        };
        const frame = zstdCompressSync(content, { params });
        const more = Buffer.concat([frame, zstdCompressSync(Buffer.from("more"))]);
        expect(scan(more)).toMatchObject({ frameBytes: frame.length, ended: true });
        expect(scan(frame.subarray(0, -1)).ended).toBe(false);
      }
    }
  });

  test("in whatever pieces it comes", () => {
    const frame = zstdCompressSync(randomBytes(1000));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: frame.length }), (pieceBytes) => {
        expect(scan(Buffer.concat([frame, Buffer.from("more")]), pieceBytes).frameBytes).toBe(frame.length);
      }),
    );
  });

  test.each([0, 1, 1000])("if it is to be skipped and holds %i bytes", (sizeBytes) => {
    const frame = Buffer.concat([Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]), randomBytes(sizeBytes)]);
    frame.writeUInt32LE(sizeBytes, 4);
    expect(scan(Buffer.concat([frame, Buffer.from("more")]))).toEqual({
      frameBytes: frame.length,
      ended: true,
      window: 0,
    });
  });
});

test("the window is what the header asks for", () => {
  const window = (bytes: number[]) => {
    const scanner = new ZstdFrameScanner();
    scanner.scan(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...bytes]));
    return scanner.windowBytes;
  };
  // A window descriptor: the exponent above 10, and eighths of it.
  expect(window([0x00, 0x00])).toBe(1024);
  expect(window([0x00, (13 << 3) | 0])).toBe(8 << 20);
  expect(window([0x00, (10 << 3) | 3])).toBe((1 << 20) + (3 << 17));
  // A single segment: the size of the content, in 1, 2, 4 or 8 bytes, with a dictionary id of 4 before it, too.
  expect(window([0x20, 0x07])).toBe(7);
  expect(window([0x60, 0x01, 0x02])).toBe(0x201 + 256);
  expect(window([0xa0, 0x00, 0x00, 0x10, 0x00])).toBe(1 << 20);
  expect(window([0xe0, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00])).toBe(1 << 20);
  expect(window([0x23, 9, 9, 9, 9, 0x07])).toBe(7);
  expect(window([0xe0, 0x00, 0x00])).toBeUndefined();
});

test.each([
  ["another magic number", [1, 2, 3, 4], "are not zstd"],
  ["a window above 8 MiB", [0x28, 0xb5, 0x2f, 0xfd, 0, (13 << 3) | 1], "window of 9437184 bytes"],
  ["a single segment above 8 MiB", [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0xff], "window of 4278190080 bytes"],
  ["a reserved block", [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 6, 0, 0], "unknown type"],
])("%s is refused", (_what, bytes, message) => {
  const scanning = () => new ZstdFrameScanner().scan(Buffer.from(bytes));
  expect(scanning).toThrow(ZstdFormatError);
  expect(scanning).toThrow(message);
});

test("random bytes behind a magic number never make it loop or crash in another way", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        scan(Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...bytes]), 7);
      } catch (error) {
        expect(error).toBeInstanceOf(ZstdFormatError);
      }
    }),
  );
});
