import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  BatchReadBlobsResponse_ResponseSchema,
  type BatchUpdateBlobsRequest_Request,
  BatchUpdateBlobsResponse_ResponseSchema,
  Compressor_Value,
  type ContentAddressableStorage,
  type Digest as WireDigest,
  type DigestFunction_Value,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { StatusSchema, type Status } from "../../protos/gen/google/rpc/status_pb.ts";
import { authorizedInstance } from "../access/authorized-instance.ts";
import { callerKey, mayOn } from "../access/caller.ts";
import { openChunkLists } from "../chunking/chunk-lists.ts";
import { spliceBlob } from "../chunking/splice-blob.ts";
import { splitBlob } from "../chunking/split-blob.ts";
import { compressZstd, decompressZstd } from "../compression/zstd.ts";
import {
  digestFromWire,
  digestKey,
  digestToWire,
  parseDigest,
  requestDigestFunction,
  type Digest,
} from "../digest/digest.ts";
import type { Env } from "../env.ts";
import { OK } from "../errors/status.ts";
import { chargeUpload } from "../quota/charge.ts";
import type { ServedInstance } from "../served-instance.ts";
import { openCallOf } from "../memory/open-calls.ts";
import { MAX_PAGE_BYTES, treePages } from "../trees/tree-pages.ts";
import { askedOnWireKey, findMissingOnWire, missingOnWireKey } from "./find-missing-on-wire.ts";
import { BatchAnswer, checkDigestsAnswer } from "./batch-answer.ts";

export function contentAddressableStorageService(env: Env): ServiceImpl<typeof ContentAddressableStorage> {
  return {
    async findMissingBlobs({ instanceName, blobDigests, digestFunction }, context) {
      const instance = authorizedInstance(env, context, instanceName, "read-blobs");
      const onWire = context.values.get(askedOnWireKey);
      if (onWire !== undefined) {
        const missing = await findMissingOnWire(instance, onWire, digestFunction);
        context.values.set(missingOnWireKey, missing);
        return {};
      }
      const digests = parseDigests(instance, blobDigests, digestFunction);
      const missing = new Set<Digest | undefined>(await instance.blobs.findMissing(digests));
      // The messages that came go back: making 10,000 new ones takes milliseconds.
      const missingBlobDigests = blobDigests.filter((_, position) => missing.has(digests[position]));
      checkDigestsAnswer(
        missingBlobDigests.length,
        missingBlobDigests.reduce((sum, { hash }) => sum + hash.length, 0),
      );
      return { missingBlobDigests };
    },

    async batchUpdateBlobs({ instanceName, requests, digestFunction }, context) {
      const instance = authorizedInstance(env, context, instanceName, "write-blobs");
      const blobBytes = requests.reduce((sum, request) => sum + uncompressedBytes(request), 0);
      const answer = new BatchAnswer(
        blobBytes,
        requests.map(({ digest }) => ({ hash: digest?.hash ?? "", dataBytes: 0 })),
      );
      const sentBytes = requests.reduce((sum, { data }) => sum + data.length, 0);
      await chargeUpload(env, context.values.get(callerKey), Math.max(blobBytes - sentBytes, 0));
      const statuses = requests.map(() => OK);
      const blobs: { digest: Digest; bytes: Uint8Array; position: number }[] = [];
      requests.forEach(({ digest, data, compressor }, position) => {
        try {
          if (compressor !== Compressor_Value.IDENTITY && compressor !== Compressor_Value.ZSTD) {
            throw new ConnectError(
              `compressor ${Compressor_Value[compressor]} is not supported in batches; see supported_batch_update_compressors`,
              Code.InvalidArgument,
            );
          }
          const parsedFunction = requestDigestFunction(digestFunction, digest?.hash, instance.digestFunctions);
          const parsed = digestFromWire(parsedFunction, digest, `requests[${position}].digest`);
          const bytes = compressor === Compressor_Value.ZSTD ? decompressZstd(parsed, data) : data;
          blobs.push({ digest: parsed, bytes, position });
        } catch (error) {
          statuses[position] = answer.status(error);
        }
      });
      const verdicts = await instance.blobs.writeBatch(blobs);
      blobs.forEach(({ position }, i) => {
        if (verdicts[i] !== undefined) statuses[position] = answer.status(verdicts[i]);
      });
      return {
        responses: requests.map(({ digest }, position) =>
          create(BatchUpdateBlobsResponse_ResponseSchema, {
            ...(digest !== undefined && { digest }),
            status: statuses[position] ?? OK,
          }),
        ),
      };
    },

    async batchReadBlobs({ instanceName, digests: wireDigests, digestFunction, acceptableCompressors }, context) {
      const instance = authorizedInstance(env, context, instanceName, "read-blobs");
      const digests = parseDigests(instance, wireDigests, digestFunction);
      const answer = new BatchAnswer(
        digests.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        digests.map(({ hash, sizeBytes }) => ({ hash, dataBytes: sizeBytes })),
      );
      const contents = await instance.blobs.readBatch(digests);
      return {
        responses: digests.map((digest, position) => {
          const data = contents[position];
          return create(BatchReadBlobsResponse_ResponseSchema, {
            digest: digestToWire(digest),
            ...(data === undefined
              ? { status: answer.bounded(notStored(digest)) }
              : { ...encode(data, acceptableCompressors), status: OK }),
          });
        }),
      };
    },

    async *getTree({ instanceName, rootDigest, pageSize, pageToken, digestFunction }, context) {
      const instance = authorizedInstance(env, context, instanceName, "read-blobs");
      const parsedFunction = requestDigestFunction(digestFunction, rootDigest?.hash, instance.digestFunctions);
      const root = digestFromWire(parsedFunction, rootDigest, "root_digest");
      const owner = context.values.get(callerKey).name;
      const release = await openCallOf(MAX_PAGE_BYTES, owner);
      try {
        yield* treePages(root, instance.blobs, { pageSize, pageToken, owner });
      } finally {
        release();
      }
    },

    async splitBlob({ instanceName, blobDigest, digestFunction }, context) {
      const instance = authorizedInstance(env, context, instanceName, "read-blobs");
      const parsedFunction = requestDigestFunction(digestFunction, blobDigest?.hash, instance.digestFunctions);
      const blob = digestFromWire(parsedFunction, blobDigest, "blob_digest");
      const lists = openChunkLists(env, instance.config);
      const caller = context.values.get(callerKey);
      const { chunks, chunkingFunction } = await splitBlob(instance.blobs, lists, blob, {
        isAllowed: mayOn(caller, instanceName, "write-blobs"),
        charge: (bytes) => chargeUpload(env, caller, bytes),
      });
      return { chunkDigests: chunks.map(digestToWire), chunkingFunction };
    },

    async spliceBlob({ instanceName, blobDigest, chunkDigests, digestFunction }, context) {
      const instance = authorizedInstance(env, context, instanceName, "write-blobs");
      const parsedFunction = requestDigestFunction(digestFunction, blobDigest?.hash, instance.digestFunctions);
      const blob = digestFromWire(parsedFunction, blobDigest, "blob_digest");
      const chunks = parseDigests(instance, chunkDigests, parsedFunction.value);
      const lists = openChunkLists(env, instance.config);
      const caller = context.values.get(callerKey);
      const splicer = { instance: instance.config.name, charge: (bytes: number) => chargeUpload(env, caller, bytes) };
      await spliceBlob(instance.blobs, lists, splicer, blob, chunks);
      return { blobDigest: digestToWire(blob) };
    },
  };
}

function parseDigests(
  { digestFunctions }: ServedInstance,
  digests: readonly WireDigest[],
  digestFunction: DigestFunction_Value,
): Digest[] {
  return digests.map(({ hash, sizeBytes }) =>
    parseDigest(requestDigestFunction(digestFunction, hash, digestFunctions), hash, sizeBytes),
  );
}

/** A blob's bytes as the client can take them, and in the fewest bytes. */
function encode(
  data: Uint8Array,
  acceptable: readonly Compressor_Value[],
): { data: Uint8Array; compressor: Compressor_Value } {
  if (acceptable.includes(Compressor_Value.ZSTD)) {
    const compressed = compressZstd(data);
    if (compressed.length < data.length) return { data: compressed, compressor: Compressor_Value.ZSTD };
  }
  return { data, compressor: Compressor_Value.IDENTITY };
}

/** How much memory a blob of a batch takes: if it is compressed, what its digest says, which it can't exceed. */
function uncompressedBytes({ data, digest, compressor }: BatchUpdateBlobsRequest_Request): number {
  // A malformed size below 0, which is refused later, must not make room for others.
  return compressor === Compressor_Value.IDENTITY ? data.length : Math.max(Number(digest?.sizeBytes ?? 0n), 0);
}

function notStored(digest: Digest): Status {
  return create(StatusSchema, { code: Code.NotFound, message: `blob ${digestKey(digest)} is not in the CAS` });
}
