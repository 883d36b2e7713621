import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { BridgeLimits } from "../../../bridge/limits.ts";
import {
  ActionCache,
  type ActionResult,
  ActionResultSchema,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "../bridges.ts";
import { CasEndpoint, digestOf, readName } from "../cas-endpoint.ts";
import { NativeClient } from "../native-client.ts";

const { getActionResult } = ActionCache.method;
const { read } = ByteStream.method;
const STDOUT = Buffer.from("stdout");
const STDERR = Buffer.from("stderr");
const FILE = Buffer.from("a file");
const LARGE = Buffer.alloc(20_000, "large ");
const ACTION = digestOf(Buffer.from("action"));

async function start(limits: Partial<BridgeLimits> = {}) {
  const cas = new CasEndpoint();
  for (const data of [STDOUT, STDERR, FILE, LARGE]) cas.blobs.set(digestOf(data).hash, data);
  cas.results.set(
    ACTION.hash,
    create(ActionResultSchema, {
      stdoutDigest: digestOf(STDOUT),
      stderrDigest: digestOf(STDERR),
      outputFiles: [
        { path: "file", digest: digestOf(FILE), isExecutable: true },
        { path: "large", digest: digestOf(LARGE) },
      ],
      exitCode: 0,
    }),
  );
  const bridge = await startTestBridge(await cas.start(), limits);
  return { cas, client: new NativeClient(bridge.port) };
}

const REQUEST = { instanceName: "main", actionDigest: ACTION };

async function readBytes(client: NativeClient, data: Uint8Array, metadata = {}): Promise<Buffer> {
  const { messages } = await client.readAll(read, { resourceName: readName(data) }, { metadata });
  return Buffer.concat(messages.map((message) => message.data));
}

/** How many bytes of contents are in a result. */
const inlined = ({ stdoutRaw, stderrRaw, outputFiles }: ActionResult) => [
  stdoutRaw.length,
  stderrRaw.length,
  ...outputFiles.map(({ contents }) => contents.length),
];

test("the small outputs of a cached result are read without asking the endpoint again", async () => {
  const { cas, client } = await start();
  const { status } = await client.unary(getActionResult, REQUEST);
  expect(status.code).toBe(0);
  expect(await readBytes(client, STDOUT)).toEqual(STDOUT);
  expect(await readBytes(client, STDERR)).toEqual(STDERR);
  expect(await readBytes(client, FILE)).toEqual(FILE);
  expect(cas.calls).toEqual(["GetActionResult"]);
  expect(await readBytes(client, LARGE)).toEqual(LARGE);
  expect(cas.calls).toEqual(["GetActionResult", "Read"]);
});

describe("the client's answer has what it asked for, and nothing else", () => {
  test.each([
    ["nothing", {}, [0, 0, 0, 0]],
    ["stdout", { inlineStdout: true }, [6, 0, 0, 0]],
    ["stderr", { inlineStderr: true }, [0, 6, 0, 0]],
    ["a small file", { inlineOutputFiles: ["file"] }, [0, 0, 6, 0]],
    ["a large file", { inlineOutputFiles: ["large"] }, [0, 0, 0, 20_000]],
  ])("%s", async (_what, asked, bytes) => {
    const { cas, client } = await start();
    const [result] = (await client.unary(getActionResult, { ...REQUEST, ...asked })).messages;
    expect(result && inlined(result)).toEqual(bytes);
    expect(result?.outputFiles[0]).toMatchObject({ path: "file", isExecutable: true, digest: digestOf(FILE) });
    expect(cas.results.get(ACTION.hash)?.stdoutDigest).toEqual(result?.stdoutDigest);
  });

  test("contents that have no digest are left", async () => {
    const { cas, client } = await start();
    cas.results.set(
      ACTION.hash,
      create(ActionResultSchema, { stdoutRaw: STDOUT, outputFiles: [{ path: "a", contents: FILE }] }),
    );
    // The endpoint stands for one that has these contents only.
    cas.onResult = (_inlined, stored) => stored;
    const [result] = (await client.unary(getActionResult, REQUEST)).messages;
    expect(result && inlined(result)).toEqual([6, 0, 6]);
  });
});

test("a result that is not cached is NOT_FOUND, in the endpoint's words", async () => {
  const { client } = await start();
  const { status, messages } = await client.unary(getActionResult, { actionDigest: digestOf(FILE) });
  expect(status).toMatchObject({ code: Code.NotFound, details: "no result is cached" });
  expect(messages).toEqual([]);
});

test("another caller's outputs are not given away", async () => {
  const { cas, client } = await start();
  await client.unary(getActionResult, REQUEST, { metadata: { authorization: "Bearer a" } });
  await readBytes(client, FILE, { authorization: "Bearer b" });
  expect(cas.calls).toEqual(["GetActionResult", "BatchReadBlobs"]);
  await readBytes(client, FILE, { authorization: "Bearer a" });
  expect(cas.calls).toHaveLength(2);
});

test("contents that are not their digests' are not kept", async () => {
  const { cas, client } = await start();
  cas.onResult = (result) => {
    for (const file of result.outputFiles) file.contents = Buffer.from("forged");
    return result;
  };
  await client.unary(getActionResult, REQUEST);
  expect(await readBytes(client, FILE)).toEqual(FILE);
  expect(cas.calls).toEqual(["GetActionResult", "BatchReadBlobs"]);
});

test("outputs are asked for only while the memory is on, and up to the size that is held", async () => {
  const off = await start({ outputMemoryBytes: 0 });
  await off.client.unary(getActionResult, REQUEST);
  expect(off.cas.requests[0]).not.toHaveProperty("remex-inline-outputs-up-to-bytes");
  const { cas, client } = await start({ outputMemoryBlobBytes: 5 });
  await client.unary(getActionResult, REQUEST);
  expect(cas.requests[0]).toMatchObject({ "remex-inline-outputs-up-to-bytes": "5" });
});
