import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import { ByteStream, type WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { blobResourceName } from "../../src/byte-stream/resource-name.ts";
import type { Digest } from "../../src/digest/digest.ts";
import { startHash } from "../../src/digest/verify.ts";
import { Retries, withRetries, type RetryPolicy } from "./call-retries.ts";
import { corruptBlobError } from "./corrupt-blob.ts";
import { compressed, compressedFrame, decompressedFrames, isWorthwhile } from "./zstd.ts";
import { StallGuard } from "./stall-guard.ts";

export interface BlobStreamsOptions {
  readonly transport: Transport;
  readonly instanceName: string;
  readonly retryPolicy: RetryPolicy;
  /** How long a stream may be silent. */
  readonly stallTimeoutMs: number;
  /** The most that one Write call sends: hosting platforms end a request body at a fixed size. */
  readonly maxRequestBytes: number;
}

/** A blob's bytes from an offset on. */
type BytesFrom = (offset: number) => AsyncIterable<Uint8Array>;

/** A blob that comes compressed, and how much of it has come. */
interface Compression {
  wireBytes: number;
}

/** After so much of a blob it shows whether it is worth compressing. */
const TRIAL_BYTES = 1024 * 1024;

type WriteRequests = AsyncGenerator<MessageInitShape<typeof WriteRequestSchema>>;

/** Reads and writes single blobs of any size by ByteStream. A broken call is followed by one that goes on where it broke. */
export class BlobStreams {
  readonly #options: BlobStreamsOptions;
  readonly #client: Client<typeof ByteStream>;

  constructor(options: BlobStreamsOptions) {
    this.#options = options;
    this.#client = createClient(ByteStream, options.transport);
  }

  /**
   * The blob's bytes as they come. What came is not to be trusted before the last piece: an error follows it if the
   * bytes are not what the digest says.
   * @param zstd whether they may travel compressed: they go on without where that turns out not to be worth it
   * @throws ConnectError NOT_FOUND if the blob is not in the CAS, DATA_LOSS if it is corrupt
   */
  async *read(digest: Digest, zstd: boolean, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    let compression: Compression | undefined = zstd ? { wireBytes: 0 } : undefined;
    const retries = new Retries(this.#options.retryPolicy, signal);
    const hash = startHash(digest.digestFunction);
    let offset = 0;
    while (offset < digest.sizeBytes) {
      try {
        for await (const piece of this.#readFrom(digest, offset, compression, signal)) {
          offset += piece.length;
          if (offset > digest.sizeBytes) throw corruptBlobError(digest);
          hash.update(piece);
          retries.progress();
          yield piece;
          if (compression !== undefined && offset >= TRIAL_BYTES && !isWorthwhile(offset, compression.wireBytes)) break;
        }
        if (compression !== undefined && offset < digest.sizeBytes && offset >= TRIAL_BYTES) {
          compression = undefined;
          continue;
        }
        if (offset < digest.sizeBytes) {
          const where = `${offset} of ${digest.sizeBytes} bytes`;
          throw new ConnectError(`${blobResourceName(digest)}: the stream ended at ${where}`, Code.Unavailable);
        }
      } catch (error) {
        await retries.after(error);
      }
    }
    if (hash.digest("hex") !== digest.hash) throw corruptBlobError(digest);
  }

  #readFrom(
    digest: Digest,
    offset: number,
    compression: Compression | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (compression === undefined) return this.#readData(blobResourceName(digest), offset, signal);
    const data = this.#readData(compressedResourceName(digest), offset, signal);
    return decompressedFrames(digest, counted(data, compression));
  }

  async *#readData(name: string, offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    using guard = new StallGuard(this.#options.stallTimeoutMs, signal);
    const resourceName = this.#resourceName(name);
    guard.waiting();
    const responses = this.#client.read({ resourceName, readOffset: BigInt(offset) }, { signal: guard.signal });
    for await (const { data } of responses) {
      guard.moved();
      if (data.length > 0) yield data;
      guard.waiting();
    }
  }

  /**
   * Stores a blob.
   * @param bytesFrom yields the blob's bytes from an offset on, in pieces of at most a few MiB
   * @param zstd whether they may travel compressed: they do if the first piece is worth it
   */
  async write(digest: Digest, bytesFrom: BytesFrom, zstd: boolean, signal: AbortSignal): Promise<void> {
    const compresses = zstd && (await isCompressible(bytesFrom(0)));
    const name = compresses ? compressedResourceName(digest) : blobResourceName(digest);
    const resourceName = this.#resourceName(`uploads/${randomUUID()}/${name}`);
    const retries = new Retries(this.#options.retryPolicy, signal);
    let committed = 0;
    while (committed < digest.sizeBytes) {
      let reached: number;
      try {
        reached = await (compresses
          ? this.#writeCompressedFrom(resourceName, committed, digest.sizeBytes, bytesFrom, signal)
          : this.#writeFrom(resourceName, committed, digest.sizeBytes, bytesFrom, signal));
        if (reached <= committed) {
          throw new ConnectError(`${resourceName}: no byte past ${committed} was committed`, Code.Unavailable);
        }
      } catch (error) {
        await retries.after(error);
        reached = await this.#committedSize(resourceName, signal);
      }
      if (reached > committed) retries.progress();
      committed = reached;
    }
  }

  /** One Write call, as far as one may reach. Returns the committed size. */
  async #writeFrom(
    resourceName: string,
    offset: number,
    sizeBytes: number,
    bytesFrom: BytesFrom,
    signal: AbortSignal,
  ): Promise<number> {
    using guard = new StallGuard(this.#options.stallTimeoutMs, signal);
    const end = Math.min(sizeBytes, offset + this.#options.maxRequestBytes);
    const requests = async function* (): WriteRequests {
      let writeOffset = offset;
      for await (const bytes of bytesFrom(offset)) {
        const data = bytes.subarray(0, end - writeOffset);
        const next = writeOffset + data.length;
        guard.waiting();
        yield {
          resourceName: writeOffset === offset ? resourceName : "",
          writeOffset: BigInt(writeOffset),
          finishWrite: next === sizeBytes,
          data,
        };
        writeOffset = next;
        if (writeOffset === end) return;
      }
    };
    return await this.#send(requests(), sizeBytes, guard.signal);
  }

  /**
   * The same with each piece as a zstd frame. `write_offset` goes on from `offset`, which is one of the blob's, by the bytes
   * that are sent; what is committed is one of the blob's again, unless the call brought the end.
   */
  async #writeCompressedFrom(
    resourceName: string,
    offset: number,
    sizeBytes: number,
    bytesFrom: BytesFrom,
    signal: AbortSignal,
  ): Promise<number> {
    using guard = new StallGuard(this.#options.stallTimeoutMs, signal);
    const { maxRequestBytes } = this.#options;
    let reached = offset;
    const requests = async function* (): WriteRequests {
      let writeOffset = offset;
      for await (const bytes of bytesFrom(offset)) {
        const data = await compressedFrame(bytes);
        if (reached > offset && writeOffset - offset + data.length > maxRequestBytes) return;
        reached += bytes.length;
        guard.waiting();
        yield {
          resourceName: writeOffset === offset ? resourceName : "",
          writeOffset: BigInt(writeOffset),
          finishWrite: reached === sizeBytes,
          data,
        };
        writeOffset += data.length;
      }
    };
    const committedBytes = await this.#send(requests(), sizeBytes, guard.signal);
    return reached === sizeBytes ? sizeBytes : committedBytes;
  }

  /** One Write call. Returns the committed size. */
  async #send(body: WriteRequests, sizeBytes: number, signal: AbortSignal): Promise<number> {
    try {
      const { committedSize } = await this.#client.write(body, { signal });
      // -1 is how a server may say that it has the blob already.
      return committedSize < 0n ? sizeBytes : Number(committedSize);
    } finally {
      // After an early answer the client leaves the rest of the body, with its open file, where it is.
      await body.return(undefined);
    }
  }

  async #committedSize(resourceName: string, signal: AbortSignal): Promise<number> {
    const { retryPolicy, stallTimeoutMs } = this.#options;
    try {
      const { committedSize } = await withRetries(retryPolicy, signal, () =>
        this.#client.queryWriteStatus({ resourceName }, { signal, timeoutMs: stallTimeoutMs }),
      );
      return Number(committedSize);
    } catch (error) {
      // Nothing of it has arrived, or it is forgotten: from the start.
      if (ConnectError.from(error).code === Code.NotFound) return 0;
      throw error;
    }
  }

  #resourceName(rest: string): string {
    const { instanceName } = this.#options;
    return instanceName === "" ? rest : `${instanceName}/${rest}`;
  }
}

function compressedResourceName(digest: Digest): string {
  return `compressed-blobs/zstd${blobResourceName(digest).slice("blobs".length)}`;
}

async function* counted(
  data: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of data) {
    compression.wireBytes += piece.length;
    yield piece;
  }
}

/** By its first piece. */
async function isCompressible(bytes: AsyncIterable<Uint8Array>): Promise<boolean> {
  for await (const piece of bytes) return (await compressed(piece)) !== undefined;
  return false;
}
