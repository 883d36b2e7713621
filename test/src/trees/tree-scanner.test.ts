import { randomBytes } from "node:crypto";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  DirectorySchema,
  TreeSchema,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { DIGEST_FUNCTIONS } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";
import { TreeScanner } from "../../../src/trees/tree-scanner.ts";

const [sha256] = DIGEST_FUNCTIONS.filter(({ name }) => name === "sha256");
if (sha256 === undefined) throw new Error("SHA-256 is always known");
const tree = parseDigest(sha256, "a".repeat(64), 1);

/** What the scanner finds in bytes that come in pieces: `{hash}/{size}`, or undefined if it refuses them. */
function scan(bytes: Uint8Array, pieceBytes: number): string[] | undefined {
  const scanner = new TreeScanner(tree);
  const found: string[] = [];
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      const files = scanner.push(bytes.slice(at, at + pieceBytes));
      found.push(...files.map(({ hash, sizeBytes }) => `${hash}/${sizeBytes}`));
    }
    scanner.end();
    return found;
  } catch (error) {
    expect(error).toSatisfy((error) => error instanceof ConnectError && error.code === Code.InvalidArgument);
    return undefined;
  }
}

const digest = fc.record({
  hash: fc.string({ unit: fc.constantFrom(..."0123456789abcdef".split("")), minLength: 64, maxLength: 64 }),
  sizeBytes: fc.bigInt(0n, (1n << 53n) - 1n),
});
const name = fc.string({ maxLength: 300 });
const properties = fc.record({
  properties: fc.array(fc.record({ name, value: name }), { maxLength: 2 }),
  mtime: fc.record({ seconds: fc.bigInt(-5n, 1n << 40n), nanos: fc.nat(1e9) }),
  unixMode: fc.nat(0o777),
});
const directory: fc.Arbitrary<MessageInitShape<typeof DirectorySchema>> = fc.record({
  files: fc.array(fc.record({ name, digest, isExecutable: fc.boolean(), nodeProperties: properties }), {
    maxLength: 6,
  }),
  directories: fc.array(fc.record({ name, digest }), { maxLength: 3 }),
  symlinks: fc.array(fc.record({ name, target: name }), { maxLength: 3 }),
  nodeProperties: properties,
});

test("it finds the files that the message has, in whatever pieces the bytes come", () => {
  fc.assert(
    fc.property(
      fc.option(directory, { nil: undefined }),
      fc.array(directory, { maxLength: 4 }),
      fc.integer({ min: 1, max: 400 }),
      (root, children, pieceBytes) => {
        const bytes = toBinary(TreeSchema, create(TreeSchema, { ...(root && { root }), children }));
        const files = [...(root ? [root] : []), ...children].flatMap(({ files }) => files ?? []);
        const expected = files.map(({ digest }) => `${digest?.hash}/${digest?.sizeBytes}`);
        expect(scan(bytes, pieceBytes)).toEqual(expected);
        expect(scan(bytes, bytes.length + 1)).toEqual(expected);
      },
    ),
  );
});

test("bytes that break off anywhere, or go on, are no Tree, however they come", () => {
  const hash = "ab".repeat(32);
  const files = [{ name: "a", digest: { hash, sizeBytes: 300n } }];
  const whole = toBinary(TreeSchema, create(TreeSchema, { root: { files }, children: [{ files }] }));
  const boundary = toBinary(TreeSchema, create(TreeSchema, { root: { files } })).length;
  for (let length = 1; length < whole.length; length++) {
    for (const pieceBytes of [1, 7, 1000]) {
      const found = scan(whole.subarray(0, length), pieceBytes);
      expect(found, `${length} bytes`).toEqual(length === boundary ? [`${hash}/300`] : undefined);
    }
  }
  expect(scan(Buffer.concat([whole, new Uint8Array([0x0a])]), 1000)).toBeUndefined();
});

test("what is no message at all is refused as the decoder does, or has no files", () => {
  for (let i = 0; i < 2000; i++) {
    const bytes = new Uint8Array(randomBytes(1 + (i % 60)));
    const found = scan(bytes, 1 + (i % 9));
    if (found === undefined) continue;
    expect(found).toEqual([]);
    const decoded = () => fromBinary(TreeSchema, bytes);
    // What it does not look into may be malformed.
    try {
      decoded();
    } catch {
      continue;
    }
    expect([decoded().root, ...decoded().children].flatMap((each) => each?.files ?? [])).toEqual([]);
  }
});

test("a file without a digest, with a bad one, or that is endless is refused", () => {
  const refused = (init: MessageInitShape<typeof TreeSchema>) => {
    expect(scan(toBinary(TreeSchema, create(TreeSchema, init)), 1 << 16)).toBeUndefined();
  };
  refused({ root: { files: [{ name: "a" }] } });
  refused({ children: [{ files: [{ name: "a", digest: { hash: "AB", sizeBytes: 1n } }] }] });
  refused({ root: { files: [{ name: "a", digest: { hash: "ab".repeat(32), sizeBytes: -1n } }] } });
  refused({ root: { files: [{ name: "a".repeat(1 << 20), digest: { hash: "ab".repeat(32), sizeBytes: 1n } }] } });
});

test("of a Tree of very many files it holds no more than the piece that came", () => {
  const files = Array.from({ length: 20_000 }, (_, i) => ({
    name: `a file of a usual name, number ${i}`,
    digest: { hash: i.toString(16).padStart(64, "0"), sizeBytes: BigInt(i) },
  }));
  const bytes = toBinary(TreeSchema, create(TreeSchema, { root: { files } }));
  const scanner = new TreeScanner(tree);
  const counts: number[] = [];
  for (let at = 0; at < bytes.length; at += 1 << 16) {
    counts.push(scanner.push(bytes.subarray(at, at + (1 << 16))).length);
  }
  scanner.end();
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(files.length);
  expect(Math.max(...counts)).toBeLessThan(1000);
});
