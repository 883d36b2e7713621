import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  ReadRequestSchema,
  ReadResponseSchema,
  type ByteStream,
  type ReadRequest,
} from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { authorizedInstance, callerOf, type Who } from "../access/authorized-instance.ts";
import { type Caller, callerKey } from "../access/caller.ts";
import type { Right } from "../access/roles.ts";
import type { BlobUpload } from "../blob-store/blob-store.ts";
import { digestOfName, parseReadName, parseUploadName, type BlobName } from "../byte-stream/resource-name.ts";
import { readFrames, READ_CHUNK_BYTES } from "../byte-stream/read-frames.ts";
import { writeCompressed } from "../byte-stream/write-compressed.ts";
import { WriteRequests } from "../byte-stream/write-requests.ts";
import { firstBytes } from "../bytes/first-bytes.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { compressChunks } from "../compression/zstd-streams.ts";
import { serveFramed } from "../connect/serve-framed.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { liveOutput } from "../execution/live-output.ts";
import { parseOutputStreamName } from "../execution/operation-message.ts";
import { chargeUpload } from "../quota/charge.ts";
import { openCallOf } from "../memory/open-calls.ts";
import type { ServedInstance } from "../served-instance.ts";

/**
 * ByteStream.Read with frames of its own making, since most of a build's bytes go through it. Undefined if the call has to
 * go the usual way.
 */
export function serveRead(env: Env, request: Request): Response | undefined {
  return serveFramed(request, ReadRequestSchema, async function* (message, signal) {
    const caller = await callerOf(env, request.headers);
    const output = readLiveOutput(env, caller, message, signal);
    if (output === undefined) {
      yield* readBlob(env, caller, message, ({ stream, lengthBytes, compressed }) =>
        compressed ? encodeFrames(compressChunks(toChunks(stream, lengthBytes))) : readFrames(stream, lengthBytes),
      );
    } else {
      yield* encodeFrames(output);
    }
  });
}

export function byteStreamService(env: Env): ServiceImpl<typeof ByteStream> {
  return {
    async *read(request, context) {
      const caller = context.values.get(callerKey);
      const output = readLiveOutput(env, caller, request, context.signal);
      const chunks =
        output ??
        readBlob(env, caller, request, ({ stream, lengthBytes, compressed }) => {
          const uncompressed = toChunks(stream, lengthBytes);
          return compressed ? compressChunks(uncompressed) : uncompressed;
        });
      for await (const data of chunks) yield { data };
    },

    async write(messages, context) {
      const requests = await WriteRequests.open(messages);
      const { instance, upload, compressed } = resolveUpload(env, context, requests.resourceName);
      const caller = context.values.get(callerKey);
      const chunks = requests.chunks(upload.digest.sizeBytes);
      const committedBytes = compressed
        ? await writeCompressed(instance.blobs, upload, requests, (bytes) => chargeUpload(env, caller, bytes))
        : await instance.blobs.write(upload, requests.offsetBytes, chunks);
      return { committedSize: BigInt(committedBytes) };
    },

    async queryWriteStatus({ resourceName }, context) {
      const { instance, upload } = resolveUpload(env, context, resourceName);
      if ((await instance.blobs.findMissing([upload.digest])).length === 0) {
        return { committedSize: BigInt(upload.digest.sizeBytes), complete: true };
      }
      return { committedSize: BigInt(await instance.blobs.committedBytes(upload)), complete: false };
    },
  };
}

interface OpenBlob {
  readonly stream: ReadableStream<Uint8Array>;
  /** Of the range, uncompressed. */
  readonly lengthBytes: number;
  /** Whether the client asked for it compressed. */
  readonly compressed: boolean;
}

/** A blob, or a range of it, as `answer` makes it into what the call answers. */
async function* readBlob(
  env: Env,
  caller: Caller,
  request: ReadRequest,
  answer: (blob: OpenBlob) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { instance, digest, compressed } = resolve(env, caller, parseReadName(request.resourceName), "read-blobs");
  // Of the uncompressed blob: so REAPI has it of the offset, and allows no limit, which would be of the compressed one.
  if (compressed && request.readLimit !== 0n) {
    throw new ConnectError("read_limit is not allowed for compressed-blobs", Code.InvalidArgument);
  }
  const range = readRange(request, digest);
  const lengthBytes = Math.min(range.limitBytes ?? Infinity, digest.sizeBytes - range.offsetBytes);
  const release = await openCallOf(Math.min(lengthBytes, READ_CHUNK_BYTES), caller.name);
  try {
    const stream = await instance.blobs.read(digest, range);
    if (stream === undefined) throw new ConnectError(`blob ${digestKey(digest)} is not in the CAS`, Code.NotFound);
    yield* answer({ stream, lengthBytes, compressed });
  } finally {
    release();
  }
}

function toChunks(stream: ReadableStream<Uint8Array>, lengthBytes: number): AsyncIterable<Uint8Array> {
  return readChunks(stream, { lengthBytes, maxBytes: READ_CHUNK_BYTES, minBytes: READ_CHUNK_BYTES });
}

async function* encodeFrames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const data of chunks) {
    yield encodeEnvelope(0, toBinary(ReadResponseSchema, create(ReadResponseSchema, { data })));
  }
}

/** The output of a running action as it is written, or undefined if the resource is no such output. */
function readLiveOutput(
  env: Env,
  caller: Caller,
  request: ReadRequest,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> | undefined {
  const output = parseOutputStreamName(request.resourceName);
  if (output === undefined) return undefined;
  const chunks = liveOutput(env, caller, output.operationName, output.stream, outputOffset(request), signal);
  const limitBytes = readLimitBytes(request);
  return limitBytes === undefined ? chunks : firstBytes(chunks, limitBytes);
}

interface Resource {
  readonly instance: ServedInstance;
  readonly digest: Digest;
  /** Whether the data are a zstd stream. */
  readonly compressed: boolean;
}

function resolve(env: Env, who: Who, name: BlobName, right: Right): Resource {
  const instance = authorizedInstance(env, who, name.instanceName, right);
  if (name.compressor !== undefined && name.compressor !== "zstd") {
    throw new ConnectError(
      `compressor ${name.compressor.slice(0, 64)} is not supported; zstd is (see supported_compressors)`,
      Code.InvalidArgument,
    );
  }
  return {
    instance,
    digest: digestOfName(name, instance.digestFunctions),
    compressed: name.compressor !== undefined,
  };
}

function resolveUpload(env: Env, who: Who, resourceName: string): Resource & { upload: BlobUpload } {
  const name = parseUploadName(resourceName);
  const resource = resolve(env, who, name, "write-blobs");
  const { instanceName, clientUploadId } = name;
  return { ...resource, upload: { instance: instanceName, clientUploadId, digest: resource.digest } };
}

/** Where in an action's output to begin. How much there will be is not known, so any offset may come to be in it. */
function outputOffset({ readOffset }: ReadRequest): number {
  if (readOffset < 0n || readOffset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ConnectError(`read_offset ${readOffset} is out of range`, Code.OutOfRange);
  }
  return Number(readOffset);
}

function readRange(request: ReadRequest, digest: Digest): { offsetBytes: number; limitBytes?: number } {
  const { readOffset } = request;
  if (readOffset < 0n || readOffset > BigInt(digest.sizeBytes)) {
    throw new ConnectError(`read_offset ${readOffset} is not within blob ${digestKey(digest)}`, Code.OutOfRange);
  }
  const offsetBytes = Number(readOffset);
  const limitBytes = readLimitBytes(request);
  return limitBytes === undefined ? { offsetBytes } : { offsetBytes, limitBytes };
}

/** Undefined where there is no limit. */
function readLimitBytes({ readLimit }: ReadRequest): number | undefined {
  if (readLimit < 0n)
    throw new ConnectError(`read_limit ${readLimit} is negative; 0 means no limit`, Code.InvalidArgument);
  return readLimit === 0n ? undefined : Number(readLimit);
}
