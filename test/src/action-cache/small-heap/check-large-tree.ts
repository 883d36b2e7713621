// Runs in a thread whose heap is small: checks a result whose one Tree is larger than that heap, and says what came of it.
import { parentPort } from "node:worker_threads";
import { isComplete } from "../../../../src/action-cache/completeness.ts";
import { SHA256 } from "../../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../../src/digest/digest.ts";

const FILES = 300_000;
const FILES_IN_PIECE = 1000;

// Node has no such method; workerd's waits for more, which is only a matter of speed.
Object.defineProperty(ReadableStreamBYOBReader.prototype, "readAtLeast", {
  value(this: ReadableStreamBYOBReader, _minBytes: number, view: Uint8Array) {
    return this.read(view);
  },
});

/** A FileNode as a field of a Directory, of which each is as long as the others. */
function file(number: number): Buffer {
  const digest = field(1, Buffer.from(number.toString(16).padStart(64, "0")));
  return field(1, Buffer.concat([field(1, Buffer.from(`file ${String(number).padStart(15, "0")}`)), field(2, digest)]));
}

/** A field of bytes, shorter than 128. */
function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

/** The root's tag and the length of its files. */
function head(): Buffer {
  const varint: number[] = [];
  for (let rest = FILES * file(0).length; rest > 0; rest = Math.floor(rest / 128)) {
    varint.push((rest % 128) + (rest >= 128 ? 128 : 0));
  }
  return Buffer.from([0x0a, ...varint]);
}

function* pieces(): Generator<Uint8Array<ArrayBuffer>> {
  yield new Uint8Array(head());
  for (let start = 0; start < FILES; start += FILES_IN_PIECE) {
    yield new Uint8Array(Buffer.concat(Array.from({ length: FILES_IN_PIECE }, (_, i) => file(start + i))));
  }
}

const asked: number[] = [];

const store: Parameters<typeof isComplete>[1] = {
  findMissing: (digests) => {
    asked.push(digests.length);
    return Promise.resolve([]);
  },
  readBatch: () => Promise.resolve([new Uint8Array(Buffer.concat([...pieces()]))]),
  read: () => {
    const remaining = pieces();
    return Promise.resolve(
      new ReadableStream({
        type: "bytes",
        pull(controller) {
          const next = remaining.next();
          if (next.done !== true) {
            controller.enqueue(next.value);
            return;
          }
          controller.close();
          controller.byobRequest?.respond(0);
        },
      }),
    );
  },
};

const treeBytes = head().length + FILES * file(0).length;
const trees = [parseDigest(SHA256, "0".repeat(64), treeBytes)];
const complete = await isComplete({ blobs: [], trees, rootDirectories: [] }, store);
const found = asked.reduce((sum, count) => sum + count, 0);
parentPort?.postMessage({ complete, treeBytes, found, most: Math.max(...asked) });
