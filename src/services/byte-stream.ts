import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { ByteStream, ReadRequest } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import type { BlobUpload } from "../blob-store/blob-store.ts";
import { digestOfName, parseReadName, parseUploadName, type BlobName } from "../byte-stream/resource-name.ts";
import { WriteRequests } from "../byte-stream/write-requests.ts";
import { readChunks } from "../bytes/read-chunks.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { liveOutput } from "../execution/live-output.ts";
import { parseOutputStreamName } from "../execution/operation-message.ts";
import { serveInstance, type ServedInstance } from "../served-instance.ts";

/** How many bytes a ReadResponse has: few enough to begin soon, enough to make its envelope not count. */
const READ_CHUNK_BYTES = 256 << 10;

export function byteStreamService(env: Env): ServiceImpl<typeof ByteStream> {
  return {
    async *read(request, context) {
      const output = parseOutputStreamName(request.resourceName);
      if (output !== undefined) {
        const { operationName, stream } = output;
        const chunks = liveOutput(env, operationName, stream, outputOffset(request), context.signal);
        for await (const data of chunks) yield { data };
        return;
      }
      const name = parseReadName(request.resourceName);
      const { instance, digest } = resolve(env, name);
      const range = readRange(request, digest);
      const stream = await instance.blobs.read(digest, range);
      if (stream === undefined) throw new ConnectError(`blob ${digestKey(digest)} is not in the CAS`, Code.NotFound);
      for await (const data of readChunks(stream, READ_CHUNK_BYTES, READ_CHUNK_BYTES)) yield { data };
    },

    async write(messages) {
      const requests = await WriteRequests.open(messages);
      try {
        const { instance, upload } = resolveUpload(env, requests.resourceName);
        const { digest } = upload;
        // A blob that is there already ends the upload early, with its full size as committed.
        if ((await instance.blobs.findMissing([digest])).length === 0)
          return { committedSize: BigInt(digest.sizeBytes) };
        const chunks = requests.chunks(digest.sizeBytes);
        return { committedSize: BigInt(await instance.blobs.write(upload, requests.offsetBytes, chunks)) };
      } finally {
        await requests.drain();
      }
    },

    async queryWriteStatus({ resourceName }) {
      const { instance, upload } = resolveUpload(env, resourceName);
      if ((await instance.blobs.findMissing([upload.digest])).length === 0) {
        return { committedSize: BigInt(upload.digest.sizeBytes), complete: true };
      }
      return { committedSize: BigInt(await instance.blobs.committedBytes(upload)), complete: false };
    },
  };
}

function resolve(env: Env, name: BlobName): { instance: ServedInstance; digest: Digest } {
  const instance = serveInstance(env, name.instanceName);
  if (name.compressor !== undefined) {
    throw new ConnectError(
      `compressor ${name.compressor} is not supported; see supported_compressors`,
      Code.InvalidArgument,
    );
  }
  return { instance, digest: digestOfName(name, instance.digestFunctions) };
}

function resolveUpload(env: Env, resourceName: string): { instance: ServedInstance; upload: BlobUpload } {
  const name = parseUploadName(resourceName);
  const { instance, digest } = resolve(env, name);
  return { instance, upload: { instance: name.instanceName, clientUploadId: name.clientUploadId, digest } };
}

/** Where in an action's output to begin. How much there will be is not known, so any offset may come to be in it. */
function outputOffset({ readLimit, readOffset }: ReadRequest): number {
  if (readLimit !== 0n)
    throw new ConnectError("read_limit is not supported for an action's output", Code.InvalidArgument);
  if (readOffset < 0n || readOffset > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ConnectError(`read_offset ${readOffset} is out of range`, Code.OutOfRange);
  }
  return Number(readOffset);
}

function readRange(
  { readOffset, readLimit }: ReadRequest,
  digest: Digest,
): { offsetBytes: number; limitBytes?: number } {
  if (readOffset < 0n || readOffset > BigInt(digest.sizeBytes)) {
    throw new ConnectError(`read_offset ${readOffset} is not within blob ${digestKey(digest)}`, Code.OutOfRange);
  }
  if (readLimit < 0n)
    throw new ConnectError(`read_limit ${readLimit} is negative; 0 means no limit`, Code.InvalidArgument);
  const offsetBytes = Number(readOffset);
  return readLimit === 0n ? { offsetBytes } : { offsetBytes, limitBytes: Number(readLimit) };
}
