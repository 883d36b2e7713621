import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type WritePart, WriteScanner } from "../../../bridge/byte-stream/write-scanner.ts";
import { encodeFrame, FrameError } from "../../../bridge/frames.ts";
import { WriteRequestSchema } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { cut } from "../chunks.ts";

type Write = MessageInitShape<typeof WriteRequestSchema>;

function frame(write: Write): Uint8Array {
  return encodeFrame(toBinary(WriteRequestSchema, create(WriteRequestSchema, write)));
}

/** The messages that parts add up to. */
function messagesOf(parts: readonly WritePart[]) {
  const messages: { resourceName: string; writeOffset: bigint; finishWrite: boolean; data: number[] }[] = [];
  let data: number[] = [];
  for (const part of parts) {
    const writeOffset = part.offset - BigInt(data.length);
    data = [...data, ...part.data];
    if (part.endsMessage) {
      messages.push({ resourceName: part.resourceName, writeOffset, finishWrite: part.finishWrite, data });
      data = [];
    } else {
      expect(part.finishWrite).toBe(false);
    }
  }
  return messages;
}

const anyWrite = fc.record({
  resourceName: fc.string({ unit: "binary", maxLength: 200 }).filter((name) => name.isWellFormed()),
  writeOffset: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 62n }),
  finishWrite: fc.boolean(),
  data: fc.uint8Array({ maxLength: 300 }),
});

test("whatever messages come, in whatever chunks, its parts add up to them", () => {
  fc.assert(
    fc.property(fc.array(anyWrite), fc.array(fc.nat()), (writes, places) => {
      const scanner = new WriteScanner();
      const parts = cut(Buffer.concat(writes.map(frame)), places).flatMap((chunk) => scanner.push(chunk));
      expect(messagesOf(parts)).toEqual(writes.map((write) => ({ ...write, data: [...write.data] })));
      expect(scanner.midMessage).toBe(false);
    }),
  );
});

test("whatever bytes come, it either reads them or refuses them with a FrameError", () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    // A frame that is whole, with anything in it.
    fc.uint8Array({ maxLength: 60 }).map((payload) => encodeFrame(payload)),
  );
  fc.assert(
    fc.property(noise, (bytes) => {
      try {
        new WriteScanner().push(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }),
  );
});

test("data are passed on before their message is whole", () => {
  const bytes = frame({ resourceName: "r", data: new Uint8Array(100).fill(7) });
  const [part, ...more] = new WriteScanner().push(bytes.subarray(0, 60));
  expect(more).toEqual([]);
  expect(part).toMatchObject({ resourceName: "r", offset: 0n, endsMessage: false });
  expect(part?.data.length).toBeGreaterThan(30);
});

test.each([1, 7, 20])("a request that ends within a message, after %d bytes, is seen to", (length) => {
  const scanner = new WriteScanner();
  scanner.push(frame({ resourceName: "r", data: new Uint8Array(100) }).subarray(0, length));
  expect(scanner.midMessage).toBe(true);
});

test("fields that it doesn't know are passed over", () => {
  const known = toBinary(WriteRequestSchema, create(WriteRequestSchema, { resourceName: "r", data: Uint8Array.of(1) }));
  const unknown = [
    Uint8Array.of(0x28, 0xff, 0x01),
    Uint8Array.of(0x2a, 2, 1, 2),
    Uint8Array.of(0x2d, 1, 2, 3, 4),
    Uint8Array.of(0x29, 1, 2, 3, 4, 5, 6, 7, 8),
  ];
  const parts = new WriteScanner().push(encodeFrame(Buffer.concat([...unknown, known, ...unknown])));
  expect(messagesOf(parts)).toEqual([{ resourceName: "r", writeOffset: 0n, finishWrite: false, data: [1] }]);
});

describe("refuses", () => {
  test.each([
    ["a compressed message", Uint8Array.of(1, 0, 0, 0, 0)],
    ["a trailer frame", Uint8Array.of(0x80, 0, 0, 0, 0)],
    ["a name after the data", encodeFrame(Uint8Array.of(0x52, 1, 7, 0x0a, 1, 0x72))],
    ["an offset after the data", encodeFrame(Uint8Array.of(0x52, 1, 7, 0x10, 1))],
    ["data twice", encodeFrame(Uint8Array.of(0x52, 1, 7, 0x52, 1, 7))],
    ["a field that is longer than its message", encodeFrame(Uint8Array.of(0x52, 9, 1))],
    ["a message that ends within a number", encodeFrame(Uint8Array.of(0x10, 0x80))],
    ["a number without an end", encodeFrame(new Uint8Array(20).fill(0x80))],
    ["a name that is no UTF-8", encodeFrame(Uint8Array.of(0x0a, 1, 0xff))],
    ["a name of 20 kB", frame({ resourceName: "x".repeat(20_000) })],
    ["groups", encodeFrame(Uint8Array.of(0x2b, 0x2c))],
    ["a number for a name", encodeFrame(Uint8Array.of(0x08, 1))],
  ])("%s", (_what, bytes) => {
    expect(() => new WriteScanner().push(bytes)).toThrow(FrameError);
  });
});
