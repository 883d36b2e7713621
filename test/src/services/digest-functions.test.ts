import { randomBytes, randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DigestFunction_Value,
  DigestSchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { DIGEST_FUNCTIONS, type DigestFunction } from "../../../src/digest/digest-function.ts";
import { startHash } from "../../../src/digest/verify.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, collect, connectClients, type Clients, streamOf, writeRequests } from "../clients.ts";

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker({
    config: JSON.stringify({
      stores: { MAIN_STORE: {} },
      schedulers: { M: {} },
      services: {
        execution: [
          { instance_name: "all", scheduler: "M", cas_store: "MAIN_STORE", digest_functions: names() },
          { instance_name: "default", scheduler: "M", cas_store: "MAIN_STORE" },
        ],
      },
    }),
  });
  clients = connectClients(worker.url);
});
afterAll(() => worker.dispose());

function names(): string[] {
  return DIGEST_FUNCTIONS.map(({ name }) => name);
}

function digestBy(digestFunction: DigestFunction, bytes: Uint8Array): Digest {
  const hash = startHash(digestFunction).update(bytes).digest("hex");
  return create(DigestSchema, { hash, sizeBytes: BigInt(bytes.length) });
}

describe.each(DIGEST_FUNCTIONS)("blobs of $name", ({ value, name, unnamed, ...rest }) => {
  const digestFunction = { value, name, unnamed, ...rest };
  const by = DIGEST_FUNCTIONS.find((candidate) => candidate.name === name) ?? digestFunction;
  const named = unnamed ? "" : `${name}/`;

  // A row, an R2 object, and one in parts.
  test.each([100, 100_000, 9_000_000])("of %i bytes are stored and read, and verified", async (sizeBytes) => {
    const blob = randomBytes(sizeBytes);
    const { hash } = digestBy(by, blob);
    const resource = `blobs/${named}${hash}/${sizeBytes}`;
    const upload = (bytes: Uint8Array) =>
      clients.byteStream.write(streamOf(writeRequests(`all/uploads/${randomUUID()}/${resource}`, bytes)));

    const wrong = Buffer.from(blob);
    wrong[0] = (wrong[0] ?? 0) ^ 1;
    expect(await codeOf(upload(wrong))).toBe("InvalidArgument");
    expect(await codeOf(collect(clients.byteStream.read({ resourceName: `all/${resource}` })))).toBe("NotFound");

    expect((await upload(blob)).committedSize).toBe(BigInt(sizeBytes));
    const read = await collect(clients.byteStream.read({ resourceName: `all/${resource}` }));
    expect(Buffer.concat(read.map(({ data }) => data)).equals(blob)).toBe(true);
  });

  test("come in batches, verified one by one", async () => {
    const blobs = [randomBytes(10), randomBytes(50_000)];
    const requests = [
      ...blobs.map((data) => ({ data, digest: digestBy(by, data) })),
      ...blobs.map((data) => ({ data, digest: digestBy(by, randomBytes(data.length)) })),
    ];
    const batch = { instanceName: "all", digestFunction: value };
    const { responses } = await clients.cas.batchUpdateBlobs({ ...batch, requests });
    expect(responses.map(({ status }) => status?.code)).toEqual([0, 0, 3, 3]);
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({
      ...batch,
      blobDigests: requests.map(({ digest }) => digest),
    });
    expect(missingBlobDigests).toHaveLength(2);
  });
});

test("a blob is one of its own function only", async () => {
  const data = randomBytes(10);
  const [sha256] = DIGEST_FUNCTIONS;
  if (sha256 === undefined) throw new Error("there is no digest function");
  const digest = digestBy(sha256, data);
  await clients.cas.batchUpdateBlobs({ instanceName: "all", requests: [{ digest, data }] });
  const missing = await clients.cas.findMissingBlobs({
    instanceName: "all",
    digestFunction: DigestFunction_Value.BLAKE3,
    blobDigests: [digest],
  });
  expect(missing.missingBlobDigests).toHaveLength(1);
});

test("an instance takes and announces the functions of its configuration", async () => {
  const functionsOf = async (instanceName: string) =>
    (await clients.capabilities.getCapabilities({ instanceName })).cacheCapabilities?.digestFunctions;
  expect(await functionsOf("all")).toEqual(DIGEST_FUNCTIONS.map(({ value }) => value));
  expect(await functionsOf("default")).toEqual([DigestFunction_Value.SHA256, DigestFunction_Value.BLAKE3]);
  const blobDigests = [create(DigestSchema, { hash: "0".repeat(40), sizeBytes: 1n })];
  expect(await codeOf(clients.cas.findMissingBlobs({ instanceName: "default", blobDigests }))).toBe("InvalidArgument");
});
