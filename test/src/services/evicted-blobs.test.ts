import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { pino } from "pino";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type {
  Digest,
  ExecuteResponse,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { PreconditionFailureSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { errorFromStatus } from "../../../src/errors/status.ts";
import { runAgent } from "../../../worker-agents/agent.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { type ActionOptions, type PreparedAction, prepareAction } from "../../e2e/action.ts";
import { type Clients, clientsOver, INSTANCE, toTheEnd, upload } from "../../e2e/clients.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { codeOf, collect } from "../clients.ts";

let worker: TestWorker;
let clients: Clients;
beforeAll(async () => {
  worker = await startWorker();
  clients = clientsOver(createGrpcWebTransport({ baseUrl: worker.url, ...CONNECTION_PER_CALL }));
});
afterAll(() => worker.dispose());

/** Starts a build machine that has nothing yet; returns what stops it. */
async function startMachine(): Promise<() => Promise<void>> {
  const workDirectory = await mkdtemp(join(tmpdir(), "remex-evicted-"));
  const drain = new AbortController();
  const stopped = runAgent(
    {
      endpoint: new URL(worker.url),
      instanceName: INSTANCE,
      name: randomUUID(),
      version: "0",
      workDirectory,
      maxActions: 1,
      logger: pino({ level: "silent" }),
    },
    drain.signal,
  );
  const stop = async () => {
    drain.abort();
    await stopped;
    await rm(workDirectory, { recursive: true, force: true });
  };
  onTestFinished(stop);
  return stop;
}

/** Takes a blob away as eviction does: from the index, and then its bytes. */
async function evict({ hash }: Digest): Promise<void> {
  for (let shard = 0; shard < 4; shard++) {
    await worker.shardSql(shard, "DELETE FROM blobs WHERE hash = unhex(?)", hash);
  }
  const bucket = await worker.mf.getR2Bucket("CAS");
  const { objects } = await bucket.list({ prefix: `MAIN_STORE/sha256/${hash}` });
  await bucket.delete(objects.map(({ key }) => key));
}

/** An action that nobody has run. */
const newAction = (options: ActionOptions) => prepareAction({ salt: randomUUID(), ...options });

/** What Execute comes to. Throws what went wrong, be it the call's end or the operation's. */
async function execute({ digest }: PreparedAction): Promise<ExecuteResponse> {
  const { response } = await toTheEnd(clients.execution.execute({ instanceName: INSTANCE, actionDigest: digest }));
  if (response.status !== undefined && response.status.code !== 0) throw errorFromStatus(response.status);
  return response;
}

async function run(action: PreparedAction): Promise<Digest> {
  const { result } = await execute(action);
  const [file] = result?.outputFiles ?? [];
  if (file?.digest === undefined) throw new Error("the action made nothing");
  return file.digest;
}

/** The blobs that a refusal asks for. */
async function missingFor(call: Promise<unknown>, code: Code): Promise<string[]> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  expect(error?.code).toBe(code);
  const failures = error?.findDetails(PreconditionFailureSchema) ?? [];
  return failures.flatMap(({ violations }) => violations.map(({ type, subject }) => `${type} ${subject}`));
}

const missing = ({ hash, sizeBytes }: Digest) => `MISSING blobs/${hash}/${sizeBytes}`;

async function read({ hash, sizeBytes }: Digest): Promise<string> {
  const messages = await collect(clients.byteStream.read({ resourceName: `main/blobs/${hash}/${sizeBytes}` }));
  return Buffer.concat(messages.map(({ data }) => data)).toString();
}

// In a row and in R2.
test.each([10, 50_000])("an intermediate output of %i bytes that nobody downloaded is made again", async (size) => {
  const maker = newAction({
    script: `head -c ${size} /dev/zero | tr '\\0' x > made`,
    outputPaths: ["made"],
  });
  await upload(clients, maker.blobs);
  const stopFirst = await startMachine();
  const made = await run(maker);
  await stopFirst();
  const text = "x".repeat(size);
  // What takes it as an input: of that, the client knows the digest only, as in builds without the bytes.
  const taker = newAction({ script: "cp input output", inputs: { input: text }, outputPaths: ["output"] });
  const [action, command, root] = taker.blobs;
  if (action === undefined || command === undefined || root === undefined) throw new Error("no action");
  await upload(clients, [action, command, root]);
  await evict(made);
  await startMachine();

  expect(await missingFor(execute(taker), Code.FailedPrecondition)).toEqual([missing(made)]);
  // The client goes back to the action that makes it, whose cached result is no hit any more.
  const { digest: actionDigest } = maker;
  expect(await codeOf(clients.actionCache.getActionResult({ instanceName: INSTANCE, actionDigest }))).toBe("NotFound");
  const again = await execute(maker);
  expect(again.cachedResult).toBe(false);
  expect(again.result?.outputFiles[0]?.digest).toEqual(made);
  const output = await run(taker);
  expect(await read(output)).toBe(text);
});

test("an output that goes between the hit and its download is made again", async () => {
  const maker = newAction({ script: "echo made > made", outputPaths: ["made"] });
  await upload(clients, maker.blobs);
  await startMachine();
  const made = await run(maker);
  const { digest: actionDigest } = maker;
  const hit = await clients.actionCache.getActionResult({ instanceName: INSTANCE, actionDigest });
  expect(hit.outputFiles[0]?.digest).toEqual(made);
  await evict(made);
  expect(await codeOf(read(made))).toBe("NotFound");
  const again = await execute(maker);
  expect(again.cachedResult).toBe(false);
  expect(await read(made)).toBe("made\n");
});

test("inputs that go before the action runs are asked for, all at once, and only they", async () => {
  const inputs = { first: randomUUID(), second: "x".repeat(30_000) + randomUUID(), third: randomUUID() };
  const taker = newAction({ script: "cat first second third > output", inputs, outputPaths: ["output"] });
  await upload(clients, taker.blobs);
  const [, command, , first, second, third] = taker.blobs;
  if (command === undefined || first === undefined || second === undefined || third === undefined) {
    throw new Error("no inputs");
  }
  for (const { digest } of [first, third]) await evict(digest);
  await startMachine();
  const asked = await missingFor(execute(taker), Code.FailedPrecondition);
  expect(asked.toSorted()).toEqual([first, third].map(({ digest }) => missing(digest)).sort());
  await upload(clients, [first, third]);
  expect(await read(await run(taker))).toBe(Object.values(inputs).join(""));
});

test("a command or an action that goes is asked for", async () => {
  const taker = newAction({ script: "echo > output", outputPaths: ["output"] });
  await upload(clients, taker.blobs);
  const [action, command] = taker.blobs;
  if (action === undefined || command === undefined) throw new Error("no action");
  await startMachine();
  await evict(command.digest);
  expect(await missingFor(execute(taker), Code.FailedPrecondition)).toEqual([missing(command.digest)]);
  await evict(action.digest);
  expect(await missingFor(execute(taker), Code.NotFound)).toEqual([missing(action.digest)]);
  await upload(clients, [action, command]);
  expect(await read(await run(taker))).toBe("\n");
});
