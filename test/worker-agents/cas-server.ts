import { createHash } from "node:crypto";
import { create, toBinary, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  Capabilities,
  ContentAddressableStorage,
  type Digest as WireDigest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { SHA256 } from "../../src/digest/digest-function.ts";
import { parseDigest, type Digest } from "../../src/digest/digest.ts";

const READ_PIECE_BYTES = 64 * 1024;

export type Method =
  "capabilities" | "findMissing" | "batchRead" | "batchUpdate" | "read" | "write" | "queryWriteStatus";

/** A CAS in memory, as the other side of the wire: it speaks REAPI, and does what a test tells it to do wrong. */
export class CasServer {
  readonly blobs = new Map<string, Uint8Array>();
  /** How often each method was called. */
  readonly calls = new Map<Method, number>();
  /** The authorization header of each call. */
  readonly authorizations = new Set<string | null>();
  /** What the next calls of a method throw, in order. */
  readonly failures = new Map<Method, ConnectError[]>();
  /** Blobs, by hash, that the next batches have no success for. */
  readonly blobFailures = new Map<string, Code>();
  /** Ends the next reads after this many bytes, as a cut connection does. */
  cutReadsAfterBytes: number[] = [];
  /** Ends the next writes, with the bytes so far committed, once they have brought this many. */
  cutWritesAfterBytes: number[] = [];
  /** Answers the next writes as complete after their first message, as for a blob that has come by another way. */
  earlyAnswers = 0;
  /** The offset of each Read and Write. */
  readonly offsets: number[] = [];
  maxBatchTotalSizeBytes = 0n;
  /** What a method waits for before it answers. */
  gate: Promise<void> | undefined;
  readonly #uploads = new Map<string, Uint8Array>();

  put(bytes: Uint8Array | string): Digest {
    const content = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    const digest = sha256(content);
    this.blobs.set(blobKey(digest), content);
    return digest;
  }

  putMessage<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): Digest {
    return this.put(toBinary(schema, create(schema, message)));
  }

  /** Loses a blob. */
  remove(digest: Digest | undefined): void {
    if (digest === undefined || !this.blobs.delete(blobKey(digest))) throw new Error("not stored");
  }

  /** The bytes of a digest that a result names. */
  get(digest: Pick<WireDigest, "hash" | "sizeBytes"> | Digest | undefined): Buffer {
    if (Number(digest?.sizeBytes) === 0) return Buffer.alloc(0);
    const bytes = digest === undefined ? undefined : this.blobs.get(blobKey(digest));
    if (bytes === undefined) throw new Error(`not stored: ${digest?.hash ?? "no digest"}`);
    return Buffer.from(bytes);
  }

  callsOf(method: Method): number {
    return this.calls.get(method) ?? 0;
  }

  readonly routes = (router: ConnectRouter): void => {
    router.service(Capabilities, {
      getCapabilities: (_, context) => {
        this.#begin("capabilities", context.requestHeader);
        return { cacheCapabilities: { maxBatchTotalSizeBytes: this.maxBatchTotalSizeBytes } };
      },
    });
    router.service(ContentAddressableStorage, {
      findMissingBlobs: async ({ blobDigests }, context) => {
        this.#begin("findMissing", context.requestHeader);
        await this.gate;
        return { missingBlobDigests: blobDigests.filter((digest) => !this.blobs.has(blobKey(digest))) };
      },
      batchReadBlobs: async ({ digests }, context) => {
        this.#begin("batchRead", context.requestHeader);
        await this.gate;
        return {
          responses: digests.map((digest) => {
            const data = this.blobs.get(blobKey(digest));
            const code = this.#blobFailure(digest) ?? (data === undefined ? Code.NotFound : 0);
            return { digest, status: { code, message: "told to" }, ...(code === 0 && data !== undefined && { data }) };
          }),
        };
      },
      batchUpdateBlobs: ({ requests }, context) => {
        this.#begin("batchUpdate", context.requestHeader);
        return {
          responses: requests.map(({ digest, data }) => {
            const code = digest === undefined ? Code.InvalidArgument : (this.#blobFailure(digest) ?? 0);
            if (code === 0) this.#store(data, digest?.hash ?? "");
            return { ...(digest !== undefined && { digest }), status: { code } };
          }),
        };
      },
    });
    router.service(ByteStream, {
      read: this.#read.bind(this),
      write: async (requests, context) => {
        this.#begin("write", context.requestHeader);
        return { committedSize: BigInt(await this.#write(requests)) };
      },
      queryWriteStatus: ({ resourceName }, context) => {
        this.#begin("queryWriteStatus", context.requestHeader);
        const committed = this.#uploads.get(resourceName);
        if (committed === undefined) throw new ConnectError("no such upload", Code.NotFound);
        return { committedSize: BigInt(committed.length) };
      },
    });
  };

  async *#read(
    { resourceName, readOffset }: { readonly resourceName: string; readonly readOffset: bigint },
    context: { readonly requestHeader: Headers },
  ): AsyncGenerator<{ data: Uint8Array }> {
    this.#begin("read", context.requestHeader);
    await this.gate;
    const [, hash = "", size = ""] = /^main\/blobs\/([0-9a-f]{64})\/(\d+)$/.exec(resourceName) ?? [];
    const bytes = this.blobs.get(`${hash}/${size}`);
    if (bytes === undefined) throw new ConnectError(`no ${resourceName}`, Code.NotFound);
    this.offsets.push(Number(readOffset));
    const cut = this.cutReadsAfterBytes.shift();
    const end = cut === undefined ? bytes.length : Number(readOffset) + cut;
    for (let offset = Number(readOffset); offset < end; offset += READ_PIECE_BYTES) {
      yield { data: bytes.subarray(offset, Math.min(end, offset + READ_PIECE_BYTES)) };
    }
    if (cut !== undefined) throw new ConnectError("cut", Code.Unavailable);
  }

  async #write(
    requests: AsyncIterable<{ resourceName: string; writeOffset: bigint; finishWrite: boolean; data: Uint8Array }>,
  ): Promise<number> {
    const cut = this.cutWritesAfterBytes.shift() ?? Infinity;
    let name = "";
    let received = 0;
    let committed = new Uint8Array();
    for await (const { resourceName, writeOffset, finishWrite, data } of requests) {
      if (name === "") {
        name = resourceName;
        committed = Uint8Array.from(this.#uploads.get(name) ?? []);
        this.offsets.push(Number(writeOffset));
      }
      if (Number(writeOffset) !== committed.length) throw new ConnectError("wrong offset", Code.InvalidArgument);
      committed = Uint8Array.from(Buffer.concat([committed, data]));
      received += data.length;
      this.#uploads.set(name, committed);
      const [, hash = ""] = /^main\/uploads\/[^/]+\/blobs\/([0-9a-f]{64})\/\d+$/.exec(name) ?? [];
      if (finishWrite) this.#store(committed, hash);
      if (this.earlyAnswers > 0) {
        this.earlyAnswers--;
        return Number(/\d+$/.exec(name)?.[0]);
      }
      if (received >= cut) throw new ConnectError("cut", Code.Unavailable);
    }
    return committed.length;
  }

  #begin(method: Method, headers: Headers): void {
    this.calls.set(method, this.callsOf(method) + 1);
    this.authorizations.add(headers.get("authorization"));
    const failure = this.failures.get(method)?.shift();
    if (failure !== undefined) throw failure;
  }

  #blobFailure(digest: WireDigest): Code | undefined {
    const code = this.blobFailures.get(digest.hash);
    this.blobFailures.delete(digest.hash);
    return code;
  }

  #store(bytes: Uint8Array, hash: string): void {
    if (this.put(Uint8Array.from(bytes)).hash !== hash) throw new ConnectError("wrong digest", Code.InvalidArgument);
  }
}

export function sha256(bytes: Uint8Array | string): Digest {
  const content = Buffer.from(bytes);
  return parseDigest(SHA256, createHash("sha256").update(content).digest("hex"), content.length);
}

function blobKey({ hash, sizeBytes }: { readonly hash: string; readonly sizeBytes: bigint | number }): string {
  return `${hash}/${sizeBytes}`;
}
