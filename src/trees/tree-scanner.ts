import { Code, ConnectError } from "@connectrpc/connect";
import { concatenate } from "../bytes/concatenate.ts";
import { digestKey, parseDigest, type Digest } from "../digest/digest.ts";
import { readField, type WireField } from "./wire-field.ts";

/** The longest FileNode: a name, a digest and the properties that a client asks for are far less. */
const MAX_FILE_NODE_BYTES = 1 << 20;

/** Fields of Tree, both of them Directory messages; of Directory; of FileNode; and of Digest. */
const TREE_ROOT = 1;
const TREE_CHILDREN = 2;
const DIRECTORY_FILES = 1;
const FILE_NAME = 1;
const FILE_DIGEST = 2;
const DIGEST_HASH = 1;
const DIGEST_SIZE_BYTES = 2;

const NOTHING = new Uint8Array(0);
const TEXT = new TextDecoder();

/**
 * Finds the digests of a Tree's files while its bytes come. As messages a Tree takes three times its own bytes, and it may
 * have hundreds of thousands of files; this holds no more than the one file that it is in.
 */
export class TreeScanner {
  readonly #tree: Digest;
  /** What has come of a field that is not whole yet. */
  #rest: Uint8Array = NOTHING;
  /** How much of what comes next says nothing about files. */
  #passBytes = 0;
  /** How much of the Directory that it is in is still to come; undefined between Directories. */
  #directoryBytes: number | undefined;

  /** @param tree the digest of the Tree: its files are of the same digest function */
  constructor(tree: Digest) {
    this.#tree = tree;
  }

  /**
   * The digests of the files that end in `chunk`, which comes behind the ones before.
   * @throws ConnectError INVALID_ARGUMENT if this is no Tree
   */
  push(chunk: Uint8Array): Digest[] {
    const bytes = this.#rest.length === 0 ? chunk : concatenate([this.#rest, chunk]);
    const files: Digest[] = [];
    let at = 0;
    for (;;) {
      const passed = Math.min(this.#passBytes, bytes.length - at);
      this.#passBytes -= passed;
      at += passed;
      if (this.#passBytes > 0) break;
      if (this.#directoryBytes === 0) this.#directoryBytes = undefined;

      const field = this.#read(bytes, at, bytes.length);
      if (field === undefined) break;
      const isMessage = field.type === "bytes";
      const fieldBytes = field.end - at;
      if (this.#directoryBytes === undefined) {
        if (isMessage && (field.number === TREE_ROOT || field.number === TREE_CHILDREN)) {
          this.#directoryBytes = field.end - field.start;
          at = field.start;
        } else {
          this.#passBytes = fieldBytes;
        }
        continue;
      }
      if (fieldBytes > this.#directoryBytes) throw this.#malformed();
      if (isMessage && field.number === DIRECTORY_FILES) {
        if (fieldBytes > MAX_FILE_NODE_BYTES) throw this.#malformed();
        if (field.end > bytes.length) break;
        files.push(this.#file(bytes, field));
        at = field.end;
      } else {
        this.#passBytes = fieldBytes;
      }
      this.#directoryBytes -= fieldBytes;
    }
    // A copy, so that the rest of the chunk is free.
    this.#rest = at === bytes.length ? NOTHING : bytes.slice(at);
    return files;
  }

  /**
   * There are no more bytes.
   * @throws ConnectError INVALID_ARGUMENT if the Tree isn't at its end
   */
  end(): void {
    const isWhole = this.#rest.length === 0 && this.#passBytes === 0 && (this.#directoryBytes ?? 0) === 0;
    if (!isWhole) throw this.#malformed();
  }

  #file(bytes: Uint8Array, node: WireField): Digest {
    let name = "";
    let hash: string | undefined;
    let sizeBytes = 0;
    for (const field of this.#fields(bytes, node)) {
      if (field.number === FILE_NAME && field.type === "bytes") name = textOf(bytes, field);
      if (field.number !== FILE_DIGEST || field.type !== "bytes") continue;
      hash ??= "";
      for (const part of this.#fields(bytes, field)) {
        if (part.number === DIGEST_HASH && part.type === "bytes") hash = textOf(bytes, part);
        if (part.number === DIGEST_SIZE_BYTES && part.type === "varint") sizeBytes = part.value;
      }
    }
    if (hash === undefined) {
      throw new ConnectError(`digest of file ${name.slice(0, 256)} is not set`, Code.InvalidArgument);
    }
    return parseDigest(this.#tree.digestFunction, hash, sizeBytes);
  }

  /** The fields of a message that is there whole. */
  *#fields(bytes: Uint8Array, message: WireField): Generator<WireField, void, undefined> {
    for (let at = message.start; at < message.end;) {
      const field = this.#read(bytes, at, message.end);
      if (field === undefined || field.end > message.end) throw this.#malformed();
      yield field;
      at = field.end;
    }
  }

  #read(bytes: Uint8Array, at: number, end: number): WireField | undefined {
    const field = readField(bytes, at, end);
    if (field === "malformed") throw this.#malformed();
    return field;
  }

  #malformed(): ConnectError {
    return new ConnectError(`blob ${digestKey(this.#tree)} is not a Tree message`, Code.InvalidArgument);
  }
}

function textOf(bytes: Uint8Array, { start, end }: WireField): string {
  return TEXT.decode(bytes.subarray(start, end));
}
