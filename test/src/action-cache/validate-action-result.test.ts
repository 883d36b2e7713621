import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ActionResultSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { validateActionResult } from "../../../src/action-cache/validate-action-result.ts";
import { SHA256 } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";

const wire = (n: number) => ({ hash: n.toString(16).padStart(64, "0"), sizeBytes: BigInt(n) });
const parsed = (n: number) => parseDigest(SHA256, n.toString(16).padStart(64, "0"), n);

const validate = (init: MessageInitShape<typeof ActionResultSchema>) =>
  validateActionResult(create(ActionResultSchema, init), SHA256);

test("all blobs that a result names are found, by what they are", () => {
  const references = validate({
    outputFiles: [
      { path: "a", digest: wire(1) },
      { path: "b/c", digest: wire(2), contents: new Uint8Array(2) },
    ],
    outputDirectories: [
      { path: "d", treeDigest: wire(3) },
      { path: "e", rootDirectoryDigest: wire(4) },
      { path: "", treeDigest: wire(5), rootDirectoryDigest: wire(6) },
    ],
    outputSymlinks: [{ path: "link", target: "/anywhere" }],
    stdoutDigest: wire(7),
    stderrDigest: wire(8),
  });
  expect(references).toEqual({
    blobs: [1, 2, 7, 8].map(parsed),
    trees: [3, 5].map(parsed),
    rootDirectories: [4, 6].map(parsed),
  });
});

test("a result that names nothing is good: an action may have no outputs", () => {
  expect(validate({})).toEqual({ blobs: [], trees: [], rootDirectories: [] });
});

describe("is refused, naming the field (bazel#8125)", () => {
  const cases: [string, MessageInitShape<typeof ActionResultSchema>, string][] = [
    ["a file without a digest", { outputFiles: [{ path: "a" }] }, "output_files[0].digest is not set"],
    ["a file without a path", { outputFiles: [{ digest: wire(1) }] }, "output_files[0].path is empty"],
    ["an absolute path", { outputFiles: [{ path: "/a", digest: wire(1) }] }, 'output_files[0].path "/a"'],
    [
      "a path that ends in a slash",
      { outputDirectories: [{ path: "a/", treeDigest: wire(1) }] },
      "output_directories[0]",
    ],
    [
      "contents of another size",
      { outputFiles: [{ path: "a", digest: wire(3), contents: new Uint8Array(2) }] },
      "contents has 2 bytes",
    ],
    ["a directory without a digest", { outputDirectories: [{ path: "a" }] }, "neither tree_digest nor"],
    ["a symlink to nowhere", { outputSymlinks: [{ path: "a" }] }, "output_symlinks[0].target is empty"],
    [
      "one path twice",
      { outputFiles: [{ path: "a", digest: wire(1) }], outputSymlinks: [{ path: "a", target: "b" }] },
      '"a" is an output twice',
    ],
    ["a malformed hash", { stdoutDigest: { hash: "xyz", sizeBytes: 1n } }, "64 lower-case hex digits"],
    ["a negative size", { stderrDigest: { hash: "0".repeat(64), sizeBytes: -1n } }, "has size -1"],
  ];
  test.each(cases)("%s", (_what, init, expected) => {
    const act = () => validate(init);
    expect(act).toThrow(ConnectError);
    expect(act).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
    expect(act).toThrow(expected);
  });
});

test("a Tree that is too large to be read is refused by its size", () => {
  const treeDigest = { hash: "0".repeat(64), sizeBytes: (64n << 20n) + 1n };
  const act = () => validate({ outputDirectories: [{ path: "a", treeDigest }] });
  expect(act).toThrow(expect.objectContaining({ code: Code.ResourceExhausted }));
  expect(act).toThrow("output_directories[0].tree_digest is of 67108865 bytes");
});
