import { expect, test } from "vitest";
import { outputKey, OutputMemory } from "../../../bridge/action-cache/output-memory.ts";
import { SHA256 } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";
import { hashOf } from "../cas-endpoint.ts";

const KIB = 1024;

function output(text: string, bytes = text.length) {
  const data = Buffer.alloc(bytes, text);
  return { data, digest: parseDigest(SHA256, hashOf(data), data.length), key: text };
}

/** A memory that holds one output of 100 KiB at a time. */
const small = () => new OutputMemory({ ttlMs: 60_000, maxBytes: 100 * KIB, maxEntries: 100 });

/** Fills it with outputs of 100 KiB, of which each `readEvery`th is read. */
function use(memory: OutputMemory, count: number, readEvery: number): void {
  for (let index = 0; index < count; index++) {
    const { key, digest, data } = output(`${count} ${index} `, 100 * KIB);
    memory.remember(key, digest, data);
    if (index % readEvery === 0) memory.recall(key);
  }
}

const worth = (memory: OutputMemory, results: number) =>
  Array.from({ length: results }, () => memory.isWorthFilling()).filter((isWorth) => isWorth).length;

test("an output is given back, as often as it is asked for", () => {
  const memory = small();
  const { key, digest, data } = output("some output");
  memory.remember(key, digest, data);
  expect(memory.recall(key)).toEqual(data);
  expect(memory.recall(key)).toEqual(data);
  expect(memory.recall("another")).toBeUndefined();
});

test("what is not what its digest says is not kept", () => {
  const memory = small();
  const { key, digest } = output("some output");
  memory.remember(key, digest, Buffer.from("some outpus"));
  memory.remember(key, digest, Buffer.from("some"));
  expect(memory.recall(key)).toBeUndefined();
});

test("while outputs are read they are worth it", () => {
  const memory = small();
  use(memory, 100, 1);
  expect(worth(memory, 100)).toBe(100);
  use(memory, 100, 3);
  expect(worth(memory, 100)).toBe(100);
});

test("outputs that nobody reads are soon not asked for, but for one time in 32", () => {
  const memory = small();
  use(memory, 10, Infinity);
  expect(worth(memory, 10)).toBe(10);
  use(memory, 5, Infinity);
  expect(worth(memory, 320)).toBe(10);
});

test("when they are read again they are worth it again", () => {
  const memory = small();
  use(memory, 1000, Infinity);
  expect(worth(memory, 320)).toBe(10);
  use(memory, 1000, 1);
  expect(worth(memory, 320)).toBe(320);
});

test("keys tell callers, instances and digests apart", () => {
  const { digest } = output("a");
  const keys = [
    outputKey({ authorization: "a" }, "main", digest),
    outputKey({ authorization: "b" }, "main", digest),
    outputKey({ authorization: "a" }, "other", digest),
    outputKey({ authorization: "a" }, "main", output("b").digest),
  ];
  expect(new Set(keys).size).toBe(4);
  expect(outputKey({ authorization: "a", traceparent: "1" }, "main", digest)).toBe(keys[0]);
});
