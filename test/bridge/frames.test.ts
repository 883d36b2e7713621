import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, FrameError, FrameReader, FrameScanner, TRAILERS_FLAG } from "../../bridge/frames.ts";
import { cut } from "./chunks.ts";

const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
const cuts = fc.array(fc.nat(), { maxLength: 20 });

function framesOf(messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(messages.map((message) => encodeFrame(message)));
}

test("whatever the chunks, the reader finds the frames that were written", () => {
  fc.assert(
    fc.property(payloads, cuts, (messages, at) => {
      const reader = new FrameReader(300);
      const frames = cut(framesOf(messages), at).flatMap((chunk) => reader.push(chunk));
      expect(frames.map(({ payload }) => Buffer.from(payload))).toEqual(
        messages.map((message) => Buffer.from(message)),
      );
      expect(Buffer.concat(frames.map(({ bytes }) => bytes))).toEqual(framesOf(messages));
      expect(reader.midFrame).toBe(false);
    }),
  );
});

test("whatever the chunks, the scanner finds where the trailer frame begins", () => {
  fc.assert(
    fc.property(payloads, cuts, (messages, at) => {
      const scanner = new FrameScanner();
      const stream = Buffer.concat([framesOf(messages), encodeFrame(new Uint8Array(3), TRAILERS_FLAG)]);
      let scanned = 0;
      for (const chunk of cut(stream, at)) {
        const messageBytes = scanner.scan(chunk);
        scanned += messageBytes;
        if (messageBytes < chunk.length) {
          break;
        }
      }
      expect(scanned).toBe(framesOf(messages).length);
      expect(scanner.midFrame).toBe(false);
    }),
  );
});

test("a stream that ends within a frame is seen to", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(), (message, lost) => {
      const frame = encodeFrame(message);
      const part = frame.subarray(0, 1 + (lost % (frame.length - 1)));
      const scanner = new FrameScanner();
      scanner.scan(part);
      const reader = new FrameReader(50);
      reader.push(part);
      expect([scanner.midFrame, reader.midFrame]).toEqual([true, true]);
    }),
  );
});

test("the scanner refuses flags that no one defines", () => {
  expect(() => new FrameScanner().scan(encodeFrame(new Uint8Array(1), 0x04))).toThrow(FrameError);
});

test("the reader refuses a frame above its limit before it has come", () => {
  const prefix = encodeFrame(new Uint8Array(11)).subarray(0, 5);
  expect(() => new FrameReader(10).push(prefix)).toThrow(/announces 11 bytes; at most 10/);
});

test("a length takes all four bytes", () => {
  const scanner = new FrameScanner();
  scanner.scan(Uint8Array.of(0, 0x80, 0, 0, 1));
  expect(scanner.midFrame).toBe(true);
  expect(() => new FrameReader(2 ** 31).push(Uint8Array.of(0, 0x80, 0, 0, 1))).toThrow(/2147483649 bytes/);
});
