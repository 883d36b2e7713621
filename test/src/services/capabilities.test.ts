import { afterAll, beforeAll, expect, test } from "vitest";
import {
  Compressor_Value,
  DigestFunction_Value,
  SymlinkAbsolutePathStrategy_Value,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, connectClients, PROTOCOLS, refusalOf } from "../clients.ts";

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker.dispose());

test.each(PROTOCOLS)("tells what is true of the service ($name)", async ({ connect }) => {
  const { capabilities } = connectClients(worker.url, connect(worker.url));
  const { cacheCapabilities, executionCapabilities, ...rest } = await capabilities.getCapabilities({
    instanceName: "main",
  });
  const everyPriority = { priorities: [{ minPriority: -2147483648, maxPriority: 2147483647 }] };
  expect(cacheCapabilities).toMatchObject({
    digestFunctions: [DigestFunction_Value.SHA256, DigestFunction_Value.BLAKE3],
    actionCacheUpdateCapabilities: { updateEnabled: true },
    cachePriorityCapabilities: { priorities: [{ minPriority: -8760, maxPriority: 8760 }] },
    maxBatchTotalSizeBytes: 4_063_232n,
    maxCasBlobSizeBytes: 64n << 30n,
    symlinkAbsolutePathStrategy: SymlinkAbsolutePathStrategy_Value.ALLOWED,
    supportedCompressors: [Compressor_Value.ZSTD],
    supportedBatchUpdateCompressors: [Compressor_Value.ZSTD],
    splitBlobSupport: true,
    spliceBlobSupport: true,
    fastCdc2020Params: { avgChunkSizeBytes: 512n << 10n, seed: 0 },
  });
  expect(executionCapabilities).toMatchObject({
    execEnabled: true,
    digestFunction: DigestFunction_Value.SHA256,
    digestFunctions: [DigestFunction_Value.SHA256, DigestFunction_Value.BLAKE3],
    executionPriorityCapabilities: everyPriority,
  });
  expect(rest).toMatchObject({ lowApiVersion: { major: 2, minor: 0 }, highApiVersion: { major: 2, minor: 12 } });
});

test.each(PROTOCOLS)(
  "an unknown instance is refused, naming it and those that are known ($name)",
  async ({ connect }) => {
    const { capabilities } = connectClients(worker.url, connect(worker.url));
    const refusal = await refusalOf(capabilities.getCapabilities({ instanceName: "nowhere" }));
    expect(refusal.rawMessage).toBe('unknown instance_name "nowhere"; known: "main"');
    expect(await codeOf(capabilities.getCapabilities({ instanceName: "x".repeat(100_000) }))).toBe("InvalidArgument");
  },
);
