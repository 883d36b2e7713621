import { Code, ConnectError, createClient, type Client, type Transport } from "@connectrpc/connect";
import {
  Capabilities,
  Compressor_Value as Compressor,
  ContentAddressableStorage,
  type BatchUpdateBlobsRequest_Request,
  type DigestFunction_Value,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Status } from "../../protos/gen/google/rpc/status_pb.ts";
import { blobResourceName } from "../../src/byte-stream/resource-name.ts";
import { digestKey, digestToWire, type Digest } from "../../src/digest/digest.ts";
import { digestMismatch } from "../../src/digest/verify.ts";
import { retryDelayMs, withRetries, type RetryPolicy } from "./call-retries.ts";
import { corruptBlobError } from "./corrupt-blob.ts";
import { compressed, decompressed } from "./zstd.ts";
import type { TransferLimits } from "./transfer-plan.ts";

/** Where the server states no limit: what fits gRPC's usual message of 4 MiB. */
const DEFAULT_BATCH_BYTES = 4 * 1024 * 1024 - 64 * 1024;
const MAX_BATCH_COUNT = 1000;

/** Larger blobs are streamed, so that what is in flight at once stays small whatever the blobs are. */
const MAX_INLINE_BYTES = 1024 * 1024;

/** Digests in one FindMissingBlobs: a message of about 750 kB. */
const FIND_MISSING_COUNT = 10_000;

export interface Blob {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export interface CasBatchesOptions {
  readonly transport: Transport;
  readonly instanceName: string;
  readonly retryPolicy: RetryPolicy;
  readonly callTimeoutMs: number;
  /** Whether blobs may be compressed on the way, if the server can. */
  readonly compresses: boolean;
}

/**
 * Asks for, reads and writes many small blobs a call. The digests of one call have one digest function. A call that may
 * go better is repeated, for those blobs only that failed; what is read is verified.
 */
export class CasBatches {
  readonly #options: CasBatchesOptions;
  readonly #cas: Client<typeof ContentAddressableStorage>;
  #limits: TransferLimits | undefined;

  constructor(options: CasBatchesOptions) {
    this.#options = options;
    this.#cas = createClient(ContentAddressableStorage, options.transport);
  }

  /** What a batch may hold, by the server's Capabilities, which are asked for once. */
  async limits(signal: AbortSignal): Promise<TransferLimits> {
    return (this.#limits ??= await this.#askLimits(signal));
  }

  async #askLimits(signal: AbortSignal): Promise<TransferLimits> {
    const { compresses, transport, instanceName } = this.#options;
    const capabilities = createClient(Capabilities, transport);
    const { cacheCapabilities } = await this.#call(signal, (options) =>
      capabilities.getCapabilities({ instanceName }, options),
    );
    const stated = Number(cacheCapabilities?.maxBatchTotalSizeBytes ?? 0n);
    return {
      maxBatchBytes: stated > 0 ? Math.min(stated, DEFAULT_BATCH_BYTES) : DEFAULT_BATCH_BYTES,
      maxBatchCount: MAX_BATCH_COUNT,
      maxInlineBytes: MAX_INLINE_BYTES,
      zstd: compresses && cacheCapabilities?.supportedCompressors.includes(Compressor.ZSTD) === true,
      zstdUpdates: compresses && cacheCapabilities?.supportedBatchUpdateCompressors.includes(Compressor.ZSTD) === true,
    };
  }

  /** Those of `digests` that are not in the CAS. */
  async findMissing(digests: readonly Digest[], signal: AbortSignal): Promise<Digest[]> {
    const byHash = new Map(digests.map((digest) => [digest.hash, digest]));
    const distinct = [...byHash.values()];
    const missing: Digest[] = [];
    for (let start = 0; start < distinct.length; start += FIND_MISSING_COUNT) {
      const part = distinct.slice(start, start + FIND_MISSING_COUNT);
      const { missingBlobDigests } = await this.#call(signal, (options) =>
        this.#cas.findMissingBlobs({ ...this.#instance(part), blobDigests: part.map(digestToWire) }, options),
      );
      for (const { hash } of missingBlobDigests) {
        const digest = byHash.get(hash);
        if (digest !== undefined) missing.push(digest);
      }
    }
    return missing;
  }

  /**
   * The bytes of each blob by `digestKey`, but for those that are not in the CAS.
   * @param digests within `limits`
   */
  async read(digests: readonly Digest[], signal: AbortSignal): Promise<Map<string, Uint8Array>> {
    const found = new Map<string, Uint8Array>();
    const { zstd } = await this.limits(signal);
    const acceptableCompressors = zstd ? [Compressor.ZSTD] : [];
    let open = digests;
    await this.#call(signal, async (options) => {
      const { responses } = await this.#cas.batchReadBlobs(
        { ...this.#instance(open), digests: open.map(digestToWire), acceptableCompressors },
        options,
      );
      const answers = new Map(responses.map((response) => [response.digest?.hash, response]));
      const failures = new Map<Digest, ConnectError>();
      for (const digest of open) {
        const answer = answers.get(digest.hash);
        const failure = failureOf(digest, answer);
        if (failure !== undefined) {
          if (failure.code !== Code.NotFound) failures.set(digest, failure);
          continue;
        }
        const data = answer?.data ?? NO_BYTES;
        const bytes = answer?.compressor === Compressor.ZSTD ? decompressed(digest, data) : data;
        if (digestMismatch(digest, bytes) !== undefined) throw corruptBlobError(digest);
        found.set(digestKey(digest), bytes);
      }
      open = [...failures.keys()];
      throwFailure(failures);
    });
    return found;
  }

  /** Stores blobs. @param blobs within `limits` */
  async write(blobs: readonly Blob[], signal: AbortSignal): Promise<void> {
    const { zstdUpdates } = await this.limits(signal);
    const dataOf = new Map<Digest, Pick<BatchUpdateBlobsRequest_Request, "data" | "compressor">>();
    for (const { digest, bytes } of blobs) {
      const frame = zstdUpdates ? await compressed(bytes) : undefined;
      const sent =
        frame === undefined
          ? { data: bytes, compressor: Compressor.IDENTITY }
          : { data: frame, compressor: Compressor.ZSTD };
      dataOf.set(digest, sent);
    }
    let open: readonly Digest[] = [...dataOf.keys()];
    await this.#call(signal, async (options) => {
      const requests = open.map((digest) => ({ digest: digestToWire(digest), ...dataOf.get(digest) }));
      const { responses } = await this.#cas.batchUpdateBlobs({ ...this.#instance(open), requests }, options);
      const answers = new Map(responses.map((response) => [response.digest?.hash, response]));
      const failures = new Map<Digest, ConnectError>();
      for (const digest of open) {
        const failure = failureOf(digest, answers.get(digest.hash));
        if (failure !== undefined) failures.set(digest, failure);
      }
      open = [...failures.keys()];
      throwFailure(failures);
    });
  }

  #call<Result>(
    signal: AbortSignal,
    call: (options: { readonly signal: AbortSignal; readonly timeoutMs: number }) => Promise<Result>,
  ): Promise<Result> {
    const { retryPolicy, callTimeoutMs } = this.#options;
    return withRetries(retryPolicy, signal, () => call({ signal, timeoutMs: callTimeoutMs }));
  }

  #instance([first]: readonly Digest[]): { instanceName: string; digestFunction?: DigestFunction_Value } {
    const { instanceName } = this.#options;
    return first === undefined ? { instanceName } : { instanceName, digestFunction: first.digestFunction.value };
  }
}

const NO_BYTES = new Uint8Array();

/** Throws the failure that decides what is to be done: one that no repetition mends, if there is one. */
function throwFailure(failures: ReadonlyMap<Digest, ConnectError>): void {
  const errors = [...failures.values()];
  const failure = errors.find((error) => retryDelayMs(error) === undefined) ?? errors[0];
  if (failure !== undefined) throw failure;
}

/** What the answer for one blob says, as an error; undefined for OK. */
function failureOf(
  digest: Digest,
  answer: { readonly status?: Status | undefined } | undefined,
): ConnectError | undefined {
  if (answer === undefined) return new ConnectError(`no answer for ${blobResourceName(digest)}`, Code.Internal);
  const { code, message } = answer.status ?? { code: 0, message: "" };
  if (code === 0) return undefined;
  return new ConnectError(`${blobResourceName(digest)}: ${message}`, CODES.get(code) ?? Code.Unknown);
}

/** gRPC's codes by their number on the wire. */
const CODES = new Map<number, Code>(
  Object.values(Code).flatMap((code) => (typeof code === "number" ? [[code, code] as const] : [])),
);
