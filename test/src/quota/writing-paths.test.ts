import { randomBytes, randomUUID } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { UPSTREAM_SERVICES } from "../../../bridge/served-services.ts";
import {
  ActionResultSchema,
  Compressor_Value,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { NAMESPACES } from "../../../src/http-cache/cache-path.ts";
import { type Blob, blobOf } from "../../e2e/action.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { type Clients, codeOf, refusalOf, streamOf, writeRequests } from "../clients.ts";
import { clientsWith, configOf, requestWith, retryDelayMs, ROLES, tokenNamed } from "./callers.ts";

const instanceName = "main";

const QUOTA_BYTES = 1 << 20;
/** One such blob is within the quota, two are above it. */
const BLOB_BYTES = 600 << 10;

/** Who asks the Worker for something. */
class Asker {
  readonly rpc: Clients;
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.rpc = clientsWith(url, token);
    this.#url = url;
    this.#token = token;
  }

  ask(method: string, path: string, body?: Uint8Array<ArrayBuffer>): Promise<Response> {
    return requestWith(`${this.#url}/${path}`, this.#token, { method, ...(body !== undefined && { body }) });
  }

  /** @throws what the answer says, as gRPC would, if it is a refusal */
  async put(path: string, bytes: Uint8Array): Promise<void> {
    const response = await this.ask("PUT", path, new Uint8Array(bytes));
    const said = await response.text();
    if (response.status === 429 && Number(response.headers.get("retry-after")) > 0) {
      throw new ConnectError(said, Code.ResourceExhausted);
    }
    expect(response.status, said).toBe(201);
  }
}

/** A way in which what a client says comes to be stored. */
interface WritingPath {
  /** The methods that it takes. */
  readonly by: string;
  /** The blob that is written; else one of random bytes. */
  readonly make?: () => Blob;
  /** What has to be there before. */
  readonly prepare?: (anyone: Asker, blob: Blob) => Promise<void>;
  readonly write: (writer: Asker, blob: Blob) => Promise<unknown>;
  /** Whether it has been written; else whether the blob is there. */
  readonly isWritten?: (anyone: Asker, blob: Blob) => Promise<boolean>;
}

const uploadName = ({ digest: { hash, sizeBytes } }: Blob, kind: string) =>
  `main/uploads/${randomUUID()}/${kind}/${hash}/${sizeBytes}`;

const compressible = () => blobOf(Buffer.alloc(BLOB_BYTES, randomBytes(100)));

/** The result of some action that has the blob's bytes in it. */
const resultWith = ({ data }: Blob) => create(ActionResultSchema, { stdoutRaw: data });

const hasResult = async ({ rpc }: Asker, { digest }: Blob) =>
  (await rpc.actionCache.getActionResult({ instanceName, actionDigest: digest }).catch(() => undefined)) !== undefined;

const write = async ({ rpc }: Asker, blob: Blob, kind = "blobs", data = blob.data) =>
  rpc.byteStream.write(streamOf(writeRequests(uploadName(blob, kind), data)));

/** A blob's two halves. */
const halves = ({ data }: Blob) =>
  [data.subarray(0, BLOB_BYTES / 2), data.subarray(BLOB_BYTES / 2)].map((half) => blobOf(half));

const PATHS: Readonly<Record<string, WritingPath>> = {
  BatchUpdateBlobs: {
    by: "ContentAddressableStorage.BatchUpdateBlobs",
    write: ({ rpc }, blob) => rpc.cas.batchUpdateBlobs({ instanceName, requests: [blob] }),
  },
  "BatchUpdateBlobs, compressed": {
    by: "ContentAddressableStorage.BatchUpdateBlobs",
    make: compressible,
    write: ({ rpc }, { digest, data }) => {
      const requests = [{ digest, data: zstdCompressSync(data), compressor: Compressor_Value.ZSTD }];
      return rpc.cas.batchUpdateBlobs({ instanceName, requests });
    },
  },
  "ByteStream.Write": { by: "ByteStream.Write", write },
  "ByteStream.Write, compressed": {
    by: "ByteStream.Write",
    make: compressible,
    write: (writer, blob) => write(writer, blob, "compressed-blobs/zstd", zstdCompressSync(blob.data)),
  },
  "ByteStream.Write, compressed in many frames": {
    by: "ByteStream.Write",
    make: compressible,
    write: (writer, blob) => {
      const frames = halves(blob).map(({ data }) => zstdCompressSync(data));
      return write(writer, blob, "compressed-blobs/zstd", Buffer.concat(frames));
    },
  },
  SpliceBlob: {
    by: "ContentAddressableStorage.SpliceBlob",
    prepare: async ({ rpc }, blob) => {
      await rpc.cas.batchUpdateBlobs({ instanceName, requests: halves(blob) });
    },
    write: ({ rpc }, blob) => {
      const chunkDigests = halves(blob).map(({ digest }) => digest);
      return rpc.cas.spliceBlob({ instanceName, blobDigest: blob.digest, chunkDigests });
    },
  },
  SplitBlob: {
    by: "ContentAddressableStorage.SplitBlob",
    prepare: async (anyone, blob) => {
      await write(anyone, blob);
    },
    write: ({ rpc }, { digest }) => rpc.cas.splitBlob({ instanceName, blobDigest: digest }),
    // Nothing is cut for somebody who may only read.
    isWritten: async (_anyone, { digest }) => {
      const { cas } = clientsWith(worker.url, "reader");
      const known = await cas.splitBlob({ instanceName, blobDigest: digest }).catch(() => undefined);
      return known !== undefined;
    },
  },
  UpdateActionResult: {
    by: "ActionCache.UpdateActionResult",
    write: ({ rpc }, blob) =>
      rpc.actionCache.updateActionResult({ instanceName, actionDigest: blob.digest, actionResult: resultWith(blob) }),
    isWritten: hasResult,
  },
  "PUT cas": {
    by: "PUT cas",
    write: (writer, { digest, data }) => writer.put(`main/cas/${digest.hash}`, data),
  },
  "PUT ac": {
    by: "PUT ac",
    write: (writer, blob) => writer.put(`main/ac/${blob.digest.hash}`, toBinary(ActionResultSchema, resultWith(blob))),
    isWritten: hasResult,
  },
  "PUT raw": {
    by: "PUT raw",
    write: (writer, { digest, data }) => writer.put(`main/raw/${digest.hash}`, data),
    isWritten: async (anyone, { digest }) => (await anyone.ask("HEAD", `main/raw/${digest.hash}`)).ok,
  },
  "Turborepo's PUT": {
    by: "PUT raw",
    write: (writer, { digest, data }) => writer.put(`main/raw/v8/artifacts/${digest.hash}`, data),
    isWritten: async (anyone, { digest }) => (await anyone.ask("HEAD", `main/raw/v8/artifacts/${digest.hash}`)).ok,
  },
};

/** What stores nothing that its caller sends. What an action puts out is uploaded by its agent. */
const STORING_NOTHING = [
  "ActionCache.GetActionResult",
  "ByteStream.Read",
  "ByteStream.QueryWriteStatus",
  "Capabilities.GetCapabilities",
  "ContentAddressableStorage.FindMissingBlobs",
  "ContentAddressableStorage.BatchReadBlobs",
  "ContentAddressableStorage.GetTree",
  "Execution.Execute",
  "Execution.WaitExecution",
  "Operations.ListOperations",
  "Operations.GetOperation",
  "Operations.DeleteOperation",
  "Operations.CancelOperation",
  "Operations.WaitOperation",
  "GET cas",
  "HEAD cas",
  "GET ac",
  "HEAD ac",
  "GET raw",
  "HEAD raw",
  "DELETE raw",
  "PROPFIND raw",
  "MKCOL raw",
  "OPTIONS raw",
];

let worker: TestWorker;

beforeAll(async () => {
  const tokens = Object.keys(PATHS).map((name) => tokenNamed(tokenOf(name), { upload_bytes_per_hour: QUOTA_BYTES }));
  const reader = tokenNamed("reader", undefined, { "*": ["cache-reader"] });
  worker = await startWorker({
    config: configOf({ anonymous: ROLES, tokens: [...tokens, reader, tokenNamed("free")] }),
  });
});
afterAll(() => worker.dispose());

test.each(Object.entries(PATHS))("%s counts what it stores, and stores nothing above the quota", async (name, path) => {
  const { make = () => blobOf(randomBytes(BLOB_BYTES)), isWritten = isStored } = path;
  const anyone = new Asker(worker.url, "free");
  const writer = new Asker(worker.url, tokenOf(name));
  const [first, second] = [make(), make()];
  for (const blob of [first, second]) await path.prepare?.(anyone, blob);

  await path.write(writer, first);
  expect(await isWritten(anyone, first)).toBe(true);
  const refusal = await refusalOf(path.write(writer, second));
  expect(refusal.code).toBe(Code.ResourceExhausted);
  expect(refusal.rawMessage).toContain(
    `the quota of "${tokenOf(name)}" is spent: ${QUOTA_BYTES} bytes of uploads an hour`,
  );
  if (!path.by.startsWith("PUT")) expect(retryDelayMs(refusal)).toBeGreaterThan(0);
  expect(await isWritten(anyone, second)).toBe(false);
});

test("there are no other methods that could store something", async () => {
  const methods = UPSTREAM_SERVICES.flatMap((service) =>
    service.methods.map((method) => `${service.name}.${method.name}`),
  );
  for (const namespace of NAMESPACES) {
    const refused = await new Asker(worker.url, "free").ask("PATCH", `main/${namespace}/${"0".repeat(64)}`);
    const allowed = refused.headers.get("allow")?.split(", ") ?? [];
    methods.push(...allowed.map((method) => `${method} ${namespace}`));
  }
  const known = [...new Set(Object.values(PATHS).map(({ by }) => by)), ...STORING_NOTHING];
  expect(methods.sort()).toEqual(known.sort());
});

test("what is above the whole quota at once is refused without a word of waiting, and costs nothing", async () => {
  const blob = blobOf(randomBytes(2 * QUOTA_BYTES));
  await write(new Asker(worker.url, "free"), blob);
  const { rpc } = new Asker(worker.url, "SplitBlob");
  const refusal = await refusalOf(rpc.cas.splitBlob({ instanceName, blobDigest: blob.digest }));
  expect(refusal.code).toBe(Code.ResourceExhausted);
  expect(refusal.rawMessage).toContain(`takes ${2 * QUOTA_BYTES} of the quota of "SplitBlob" at once`);
  expect(retryDelayMs(refusal)).toBeNaN();
  expect(await codeOf(clientsWith(worker.url, "reader").cas.splitBlob({ instanceName, blobDigest: blob.digest }))).toBe(
    "NotFound",
  );
  // Of what is left a small blob can still be written, and what somebody else had cut costs nothing.
  await rpc.cas.batchUpdateBlobs({ instanceName, requests: [blobOf(randomBytes(100 << 10))] });
  await clientsWith(worker.url, "free").cas.splitBlob({ instanceName, blobDigest: blob.digest });
  await rpc.cas.splitBlob({ instanceName, blobDigest: blob.digest });
});

/** Who writes by that path alone: a header takes no spaces. */
function tokenOf(path: string): string {
  return path.replaceAll(" ", "-");
}

async function isStored({ rpc }: Asker, { digest }: Blob): Promise<boolean> {
  return (await rpc.cas.findMissingBlobs({ instanceName, blobDigests: [digest] })).missingBlobDigests.length === 0;
}
