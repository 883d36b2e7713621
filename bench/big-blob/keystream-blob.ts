import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type Digest, DigestSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

const BLOCK_BYTES = 16;
const HASH_CHUNK_BYTES = 1 << 20;

/**
 * A blob of any size of which nothing is held: the keystream of a cipher, which can be had from any place on. No two places
 * of it are alike, so that parts in the wrong order are another blob.
 */
export class KeystreamBlob {
  readonly digest: Digest;
  readonly #key = randomBytes(16);

  /** Takes as long as hashing all of it. */
  constructor(sizeBytes: number) {
    const hash = createHash("sha256");
    for (const chunk of this.#chunks(0, sizeBytes, HASH_CHUNK_BYTES)) hash.update(chunk);
    this.digest = create(DigestSchema, { hash: hash.digest("hex"), sizeBytes: BigInt(sizeBytes) });
  }

  /** What lies behind `offsetBytes`, in chunks of at most `chunkBytes`. */
  chunksFrom(offsetBytes: number, chunkBytes: number): Iterable<Uint8Array> {
    return this.#chunks(offsetBytes, Number(this.digest.sizeBytes), chunkBytes);
  }

  *#chunks(offsetBytes: number, sizeBytes: number, chunkBytes: number): Generator<Uint8Array> {
    // In counter mode the initial vector is the number of the first block.
    const counter = Buffer.alloc(BLOCK_BYTES);
    counter.writeBigUInt64BE(BigInt(Math.floor(offsetBytes / BLOCK_BYTES)), 8);
    const cipher = createCipheriv("aes-128-ctr", this.#key, counter);
    cipher.update(Buffer.alloc(offsetBytes % BLOCK_BYTES));
    const zeros = Buffer.alloc(chunkBytes);
    for (let at = offsetBytes; at < sizeBytes; at += chunkBytes) {
      yield cipher.update(zeros.subarray(0, Math.min(chunkBytes, sizeBytes - at)));
    }
  }
}
