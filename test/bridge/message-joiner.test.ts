import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, TRAILERS_FLAG } from "../../bridge/frames.ts";
import { MessageJoiner } from "../../bridge/message-joiner.ts";
import { RequestMemory } from "../../bridge/request-memory.ts";
import { cut } from "./chunks.ts";

const MAX_BYTES = 100;
const PLENTY = 1_000_000;

const payloads = fc.array(fc.uint8Array({ maxLength: 300, size: "max" }), { maxLength: 8 });
const cuts = fc.array(fc.nat(), { maxLength: 30 });

/** What was passed on so far, of a stream that is given in pieces. */
class Joined {
  readonly memory: RequestMemory;
  /** Each of what was passed on together. */
  readonly passed: Uint8Array[] = [];
  readonly #joiner: MessageJoiner;

  constructor(memoryBytes = PLENTY) {
    this.memory = new RequestMemory(memoryBytes);
    this.#joiner = new MessageJoiner(MAX_BYTES, this.memory);
  }

  get passedBytes(): number {
    return this.passed.reduce((sum, { length }) => sum + length, 0);
  }

  push(piece: Uint8Array): void {
    this.#note(this.#joiner.push(piece));
  }

  flush(): void {
    this.#note(this.#joiner.flush());
  }

  #note(pieces: readonly Uint8Array[]): void {
    if (pieces.length > 0) this.passed.push(Buffer.concat(pieces));
  }
}

/** Where in the stream each message ends. */
function endsOf(messages: readonly Uint8Array[]): number[] {
  let end = 0;
  return messages.map(({ length }) => (end += 5 + length));
}

function streamOf(messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(messages.map((message) => encodeFrame(message)));
}

/** Whether there is room in the memory for all that it may hold, and not for a byte more. */
function isWholeAndFree(memory: RequestMemory, bytes: number): boolean {
  return memory.take(bytes) && !memory.take(1);
}

test("whatever the pieces and the room, what comes out is what went in", () => {
  fc.assert(
    fc.property(payloads, cuts, fc.nat(200), fc.nat(10), (messages, at, memoryBytes, lost) => {
      const whole = streamOf(messages);
      const stream = whole.subarray(0, Math.max(whole.length - lost, 0));
      const joined = new Joined(memoryBytes);
      for (const piece of cut(stream, at)) joined.push(piece);
      joined.flush();
      expect(Buffer.concat(joined.passed)).toEqual(Buffer.from(stream));
      expect(isWholeAndFree(joined.memory, memoryBytes)).toBe(true);
    }),
  );
});

test("nothing of a whole message is held", () => {
  fc.assert(
    fc.property(payloads, cuts, (messages, at) => {
      const joined = new Joined();
      let pushedBytes = 0;
      for (const piece of cut(streamOf(messages), at)) {
        joined.push(piece);
        pushedBytes += piece.length;
        const lastEnd = endsOf(messages).findLast((end) => end <= pushedBytes) ?? 0;
        expect(joined.passedBytes).toBeGreaterThanOrEqual(lastEnd);
      }
      expect(joined.passedBytes).toBe(pushedBytes);
    }),
  );
});

test("less than the limit is held, and less than it and a piece is passed on at once", () => {
  fc.assert(
    fc.property(payloads, cuts, (messages, at) => {
      const joined = new Joined();
      let pushedBytes = 0;
      for (const piece of cut(streamOf(messages), at)) {
        const passedBefore = joined.passed.length;
        joined.push(piece);
        pushedBytes += piece.length;
        expect(pushedBytes - joined.passedBytes).toBeLessThan(MAX_BYTES);
        expect(joined.passed.length).toBeLessThanOrEqual(passedBefore + 1);
        expect(joined.passed[passedBefore]?.length ?? 0).toBeLessThan(MAX_BYTES + Math.max(piece.length, 1));
      }
    }),
  );
});

test("the pieces of a message come as one, and those of a large one in few", () => {
  const small = new Joined();
  for (const piece of cut(encodeFrame(new Uint8Array(90)), [1, 3, 20, 70])) small.push(piece);
  expect(small.passed.map(({ length }) => length)).toEqual([95]);

  const large = new Joined();
  for (let i = 0; i < 20; i++) large.push(encodeFrame(new Uint8Array(495)).subarray(25 * i, 25 * i + 25));
  expect(large.passed.map(({ length }) => length)).toEqual([100, 100, 100, 100, 100]);
});

test("the end of one message doesn't wait for the next, of which there is a beginning", () => {
  const joined = new Joined();
  const stream = streamOf([new Uint8Array(45), new Uint8Array(45)]);
  joined.push(stream.subarray(0, 30));
  joined.push(stream.subarray(30, 60));
  expect(joined.passed.map(({ length }) => length)).toEqual([50]);
  joined.push(stream.subarray(60));
  expect(joined.passed.map(({ length }) => length)).toEqual([50, 50]);
});

test("where others hold all that may be held, pieces pass as they come", () => {
  const joined = new Joined(50);
  joined.memory.take(40);
  const pieces = cut(encodeFrame(new Uint8Array(55)), [10, 20, 40]);
  for (const piece of pieces) joined.push(piece);
  expect(joined.passed.map(({ length }) => length)).toEqual([20, 20, 20]);
  expect(isWholeAndFree(joined.memory, 10)).toBe(true);
});

test.each([
  ["flags that no one defines", encodeFrame(new Uint8Array(50), 0x04), /has the flags 0x4/],
  ["a trailer frame", encodeFrame(new Uint8Array(50), TRAILERS_FLAG), /has a gRPC-Web trailer frame/],
])("%s are refused", (_, flaw, message) => {
  const joined = new Joined();
  joined.push(encodeFrame(new Uint8Array(15)));
  expect(() => {
    joined.push(flaw);
  }).toThrow(message);
});
