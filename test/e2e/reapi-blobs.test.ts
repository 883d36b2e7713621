import { randomBytes, randomUUID } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  ActionResultSchema,
  DigestFunction_Value,
  DirectorySchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { blobOf, messageBlob, prepareAction } from "./action.ts";
import { type Clients, INSTANCE, upload } from "./clients.ts";
import { failure, toArray } from "./outcome.ts";
import { forEachProtocol } from "./protocols.ts";

const CHUNK_BYTES = 256 * 1024;

forEachProtocol((protocol, clients) => {
  describe("Capabilities", () => {
    it("offers SHA-256, BLAKE3 and execution", async () => {
      const capabilities = await clients().capabilities.getCapabilities({ instanceName: INSTANCE });

      expect(capabilities.cacheCapabilities?.digestFunctions).toEqual([
        DigestFunction_Value.SHA256,
        DigestFunction_Value.BLAKE3,
      ]);
      expect(capabilities.executionCapabilities?.execEnabled).toBe(true);
      expect(capabilities.highApiVersion?.major).toBe(2);
    });

    it("refuses an instance that is not configured, and names those that are", async () => {
      const error = await failure(clients().capabilities.getCapabilities({ instanceName: "elsewhere" }));

      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.rawMessage).toContain("elsewhere");
      expect(error.rawMessage).toContain(INSTANCE);
    });
  });

  describe("ContentAddressableStorage", () => {
    it("stores blobs and finds them", async () => {
      const [kept, absent] = [blobOf(`kept ${protocol}`), blobOf(`absent ${protocol}`)];
      const empty = blobOf("");
      await upload(clients(), [kept]);

      const { missingBlobDigests } = await clients().cas.findMissingBlobs({
        instanceName: INSTANCE,
        blobDigests: [kept.digest, absent.digest, empty.digest],
      });
      const { responses } = await clients().cas.batchReadBlobs({
        instanceName: INSTANCE,
        digests: [kept.digest, absent.digest, empty.digest],
      });

      expect(missingBlobDigests.map(({ hash }) => hash)).toEqual([absent.digest.hash]);
      const byHash = new Map(responses.map((response) => [response.digest?.hash, response]));
      expect(byHash.get(kept.digest.hash)?.data).toEqual(kept.data);
      expect(byHash.get(absent.digest.hash)?.status?.code).toBe(Code.NotFound);
      expect(byHash.get(empty.digest.hash)?.status?.code ?? 0).toBe(0);
    });

    it("refuses bytes that are not the digest's, and keeps the others of the batch", async () => {
      const good = blobOf(`good ${protocol}`);
      const claimed = blobOf(`claimed ${protocol}`);

      const { responses } = await clients().cas.batchUpdateBlobs({
        instanceName: INSTANCE,
        requests: [good, { digest: claimed.digest, data: blobOf(`forged! ${protocol}`).data }],
      });

      const codes = new Map(responses.map(({ digest, status }) => [digest?.hash, status?.code ?? 0]));
      expect(codes.get(good.digest.hash)).toBe(0);
      expect(codes.get(claimed.digest.hash)).toBe(Code.InvalidArgument);
      const { missingBlobDigests } = await clients().cas.findMissingBlobs({
        instanceName: INSTANCE,
        blobDigests: [good.digest, claimed.digest],
      });
      expect(missingBlobDigests.map(({ hash }) => hash)).toEqual([claimed.digest.hash]);
    });

    it("refuses a malformed digest", async () => {
      const hash = "A".repeat(64);
      const blobDigests = [{ hash, sizeBytes: 3n }];

      const error = await failure(clients().cas.findMissingBlobs({ instanceName: INSTANCE, blobDigests }));

      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.rawMessage).toContain(hash);
    });

    it("splits a blob, and splices one", async () => {
      const blob = blobOf(randomBytes(3_000_000));
      const name = `${INSTANCE}/uploads/${randomUUID()}/blobs/${blob.digest.hash}/${blob.digest.sizeBytes}`;
      await clients().byteStream.write(chunks(name, blob.data));

      const { chunkDigests } = await clients().cas.splitBlob({ instanceName: INSTANCE, blobDigest: blob.digest });
      const more = blobOf(`more ${protocol}`);
      const spliced = blobOf(Buffer.concat([blob.data, more.data]));
      await upload(clients(), [more]);
      const answer = await clients().cas.spliceBlob({
        instanceName: INSTANCE,
        blobDigest: spliced.digest,
        chunkDigests: [...chunkDigests, more.digest],
      });
      const { missingBlobDigests } = await clients().cas.findMissingBlobs({
        instanceName: INSTANCE,
        blobDigests: [spliced.digest, ...chunkDigests],
      });

      expect(chunkDigests.length).toBeGreaterThan(1);
      expect(answer.blobDigest).toEqual(spliced.digest);
      expect(missingBlobDigests).toEqual([]);
    });

    it("walks a tree", async () => {
      const leaf = messageBlob(DirectorySchema, { files: [{ name: protocol, digest: blobOf("").digest }] });
      const root = messageBlob(DirectorySchema, {
        directories: [
          { name: "a", digest: leaf.digest },
          { name: "b", digest: leaf.digest },
        ],
      });
      await upload(clients(), [leaf, root]);

      const directories: Uint8Array[] = [];
      for await (const page of clients().cas.getTree({ instanceName: INSTANCE, rootDigest: root.digest })) {
        directories.push(...page.directories.map((directory) => toBinary(DirectorySchema, directory)));
      }

      expect(directories[0]).toEqual(root.data);
      expect(directories).toContainEqual(leaf.data);
    });

    it("says that the root of a tree is missing", async () => {
      const { digest: rootDigest } = messageBlob(DirectorySchema, { files: [{ name: `no ${protocol}` }] });

      const error = await failure(toArray(clients().cas.getTree({ instanceName: INSTANCE, rootDigest })));

      expect(error.code).toBe(Code.NotFound);
      expect(error.rawMessage).toContain(rootDigest.hash);
    });
  });

  describe("ByteStream", () => {
    const blob = blobOf(randomBytes(3 * CHUNK_BYTES + 1234));
    const upload = `${INSTANCE}/uploads/${randomUUID()}/blobs/${blob.digest.hash}/${blob.digest.sizeBytes}`;
    const download = `${INSTANCE}/blobs/${blob.digest.hash}/${blob.digest.sizeBytes}`;

    it("says NOT_FOUND for what is not there", async () => {
      const error = await failure(toArray(clients().byteStream.read({ resourceName: download })));

      expect(error.code).toBe(Code.NotFound);
      expect(error.rawMessage).toContain(blob.digest.hash);
    });

    it("writes a blob, and says how much of it is stored", async () => {
      const { committedSize } = await clients().byteStream.write(chunks(upload, blob.data));
      const status = await clients().byteStream.queryWriteStatus({ resourceName: upload });

      expect(committedSize).toBe(blob.digest.sizeBytes);
      expect(status).toMatchObject({ committedSize: blob.digest.sizeBytes, complete: true });
    });

    it("reads it, whole and in part", async () => {
      const whole = await readAll(clients(), { resourceName: download });
      const readOffset = BigInt(CHUNK_BYTES - 1);
      const part = await readAll(clients(), { resourceName: download, readOffset, readLimit: 10n });

      expect(Buffer.compare(whole, blob.data)).toBe(0);
      expect(part).toEqual(Buffer.from(blob.data.subarray(CHUNK_BYTES - 1, CHUNK_BYTES + 9)));
    });

    it("takes and gives blobs as zstd", async () => {
      const text = blobOf(`a line of ${protocol}\n`.repeat(50_000));
      const { hash, sizeBytes } = text.digest;
      const name = `compressed-blobs/zstd/${hash}/${sizeBytes}`;
      const compressed = zstdCompressSync(text.data);

      const write = () => clients().byteStream.write(chunks(`${INSTANCE}/uploads/${randomUUID()}/${name}`, compressed));
      const first = await write();
      const again = await write();
      const read = await readAll(clients(), { resourceName: `${INSTANCE}/${name}`, readOffset: 3n });

      expect(first.committedSize).toBe(BigInt(compressed.length));
      // It was there: what of it came, or -1 if none of it had to.
      expect([-1n, BigInt(compressed.length)]).toContain(again.committedSize);
      expect(read.length).toBeLessThan(text.data.length / 2);
      expect(zstdDecompressSync(read).equals(text.data.subarray(3))).toBe(true);
    });

    it("refuses an offset beyond the end", async () => {
      const readOffset = blob.digest.sizeBytes + 1n;

      const error = await failure(toArray(clients().byteStream.read({ resourceName: download, readOffset })));

      expect(error.code).toBe(Code.OutOfRange);
    });

    it("refuses bytes that are not the digest's", async () => {
      const claimed = blobOf(randomBytes(10));
      const resourceName = `${INSTANCE}/uploads/${randomUUID()}/blobs/${claimed.digest.hash}/10`;

      const error = await failure(clients().byteStream.write(chunks(resourceName, randomBytes(10))));

      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.rawMessage).toContain(claimed.digest.hash);
    });

    it("refuses a resource name that is none", async () => {
      const error = await failure(toArray(clients().byteStream.read({ resourceName: `${INSTANCE}/balls/1/2` })));

      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.rawMessage).toContain("balls");
    });
  });

  describe("ActionCache", () => {
    const { digest: actionDigest } = prepareAction({ script: "true", salt: `cached ${protocol}` });

    it("says NOT_FOUND for what is not cached", async () => {
      const error = await failure(clients().actionCache.getActionResult({ instanceName: INSTANCE, actionDigest }));

      expect(error.code).toBe(Code.NotFound);
      expect(error.rawMessage).toContain(actionDigest.hash);
    });

    it("keeps a result", async () => {
      const stdout = blobOf(`stdout ${protocol}`);
      await upload(clients(), [stdout]);
      const actionResult = create(ActionResultSchema, { exitCode: 0, stdoutDigest: stdout.digest });

      await clients().actionCache.updateActionResult({ instanceName: INSTANCE, actionDigest, actionResult });
      const found = await clients().actionCache.getActionResult({ instanceName: INSTANCE, actionDigest });

      expect(found.stdoutDigest).toEqual(stdout.digest);
    });

    it("does not serve a result whose blobs are missing", async () => {
      const { digest } = prepareAction({ script: "true", salt: `incomplete ${protocol}` });
      const stdoutDigest = blobOf(`never uploaded ${protocol}`).digest;
      const updated = await clients()
        .actionCache.updateActionResult({
          instanceName: INSTANCE,
          actionDigest: digest,
          actionResult: { stdoutDigest },
        })
        .then(
          () => undefined,
          (error: unknown) => ConnectError.from(error),
        );

      const error = await failure(
        clients().actionCache.getActionResult({ instanceName: INSTANCE, actionDigest: digest }),
      );

      // A service may refuse to store it, too.
      expect([undefined, Code.FailedPrecondition, Code.InvalidArgument]).toContain(updated?.code);
      expect(error.code).toBe(Code.NotFound);
    });
  });
});

async function* chunks(resourceName: string, data: Uint8Array) {
  for (let offset = 0; offset < data.length; offset += CHUNK_BYTES) {
    const chunk = data.subarray(offset, offset + CHUNK_BYTES);
    const finishWrite = offset + chunk.length === data.length;
    yield await Promise.resolve({ resourceName, writeOffset: BigInt(offset), data: chunk, finishWrite });
  }
}

async function readAll(
  { byteStream }: Clients,
  request: Parameters<Clients["byteStream"]["read"]>[0],
): Promise<Buffer> {
  const responses = await toArray(byteStream.read(request));
  return Buffer.concat(responses.map(({ data }) => data));
}
