import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  DirectorySchema,
  type Directory,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { DigestFunction } from "../../src/digest/digest-function.ts";
import { digestKey, digestToWire, type Digest } from "../../src/digest/digest.ts";
import { digestOf } from "./digest-of.ts";
import type { NodeProperties } from "./node-properties.ts";

/** A directory as it is on disk, its files already in digests. */
export interface ScannedDirectory extends ScannedNode {
  readonly files: readonly (ScannedNode & {
    readonly name: string;
    readonly digest: Digest;
    readonly isExecutable: boolean;
  })[];
  readonly directories: readonly { readonly name: string; readonly directory: ScannedDirectory }[];
  readonly symlinks: readonly (ScannedNode & { readonly name: string; readonly target: string })[];
}

interface ScannedNode {
  /** As far as they are asked for. */
  readonly nodeProperties?: NodeProperties;
}

export interface EncodedBlob {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export interface DirectoryTree {
  /** Each distinct directory once, parents before children, so that the first is the root. */
  readonly directories: readonly [EncodedBlob, ...EncodedBlob[]];
}

/** Encodes a directory and all below it as REAPI Directory messages in canonical form. */
export function encodeDirectories(root: ScannedDirectory, digestFunction: DigestFunction): DirectoryTree {
  // Children are complete before their parents, so the reverse has every parent before its children.
  const childrenFirst = new Map<string, EncodedBlob>();
  const encode = (scanned: ScannedDirectory): Digest => {
    const directories = scanned.directories.map(({ name, directory }) => ({
      name,
      digest: digestToWire(encode(directory)),
    }));
    const message: Directory = create(DirectorySchema, {
      files: scanned.files.map((file) => ({ ...file, digest: digestToWire(file.digest) })).sort(byName),
      directories: directories.sort(byName),
      symlinks: [...scanned.symlinks].sort(byName),
      ...(scanned.nodeProperties && { nodeProperties: scanned.nodeProperties }),
    });
    const bytes = toBinary(DirectorySchema, message);
    const digest = digestOf(digestFunction, bytes);
    const key = digestKey(digest);
    if (!childrenFirst.has(key)) childrenFirst.set(key, { digest, bytes });
    return digest;
  };
  encode(root);
  const [first, ...rest] = [...childrenFirst.values()].reverse();
  if (first === undefined) throw new Error("a directory has itself at least");
  return { directories: [first, ...rest] };
}

/**
 * The Tree message of the directories, put together from their encoded forms. It keeps what REAPI says of
 * `OutputDirectory.is_topologically_sorted`.
 */
export function encodeTree({ directories }: DirectoryTree): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  directories.forEach(({ bytes }, index) => {
    writer.tag(index === 0 ? ROOT_FIELD : CHILDREN_FIELD, WireType.LengthDelimited).bytes(bytes);
  });
  return writer.finish();
}

/** Field numbers of Tree. */
const ROOT_FIELD = 1;
const CHILDREN_FIELD = 2;

/**
 * By code point, as REAPI's canonical form has it. JavaScript compares UTF-16 units, among which the surrogates that
 * make up the highest code points come before U+E000 to U+FFFF.
 */
export function byName({ name: a }: { readonly name: string }, { name: b }: { readonly name: string }): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
