import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { blobOf, prepareAction } from "../action.ts";
import { type Clients, clientsOver, execute, INSTANCE, stageOf, toTheEnd, upload } from "../clients.ts";
import { Gate } from "../gate.ts";
import { createNativeTransport } from "../native-transport.ts";
import { RemexProcess } from "../remex-process.ts";
import { makeTemporaryDirectory, removeDirectory, temporaryDirectory } from "../temporary-directory.ts";
import { lacking } from "../tools.ts";
import { MixedWorker } from "./mixed-worker.ts";
import { presentVersion, PREVIOUS_SOURCE, previousVersion, type Version } from "./versions.ts";

const LACKING = lacking(PREVIOUS_SOURCE);

describe.skipIf(LACKING !== "")(`the previous version and this one${LACKING}`, () => {
  let directory = "";
  const versions: Partial<Record<Version["name"], Version>> = {};
  const version = (name: Version["name"]): Version => {
    const found = versions[name];
    if (found === undefined) throw new Error("versions are there during tests only");
    return found;
  };
  beforeAll(async () => {
    directory = await makeTemporaryDirectory();
    versions.present = await presentVersion();
    versions.previous = await previousVersion(directory);
  });
  afterAll(() => removeDirectory(directory));

  it.each<Record<"worker" | "objects" | "agent" | "bridge", Version["name"]>>([
    { worker: "present", objects: "previous", agent: "previous", bridge: "previous" },
    { worker: "previous", objects: "present", agent: "previous", bridge: "previous" },
    { worker: "present", objects: "present", agent: "previous", bridge: "present" },
    { worker: "previous", objects: "previous", agent: "present", bridge: "previous" },
    { worker: "present", objects: "present", agent: "present", bridge: "previous" },
    { worker: "previous", objects: "previous", agent: "previous", bridge: "present" },
  ])("work together: $worker Worker, $objects objects, $agent agent, $bridge bridge", async (parts) => {
    const data = await temporaryDirectory();
    const worker = await MixedWorker.start(version(parts.worker), version(parts.objects), data);
    onTestFinished(() => worker.stop());
    await startAgent(version(parts.agent), worker.url, join(data, "agent"));
    const clients = await connect(version(parts.bridge), worker.url);

    const large = randomBytes(300_000);
    const action = prepareAction({
      script: "cat input && head -c 200000 /dev/zero > zeros && mkdir tree && echo x > tree/x",
      inputs: { input: "hello\n" },
      outputPaths: ["zeros", "tree"],
    });
    await upload(clients, [blobOf(large)]);
    const { response } = await execute(clients, action);
    expect(response).toMatchObject({ cachedResult: false, result: { exitCode: 0 } });
    expect(Buffer.from(response.result?.stdoutRaw ?? []).toString()).toBe("hello\n");
    const again = await execute(clients, action);
    expect(again.response).toMatchObject({ cachedResult: true, result: { outputFiles: [{ path: "zeros" }] } });
    const digests = [blobOf(large).digest, blobOf(randomBytes(10)).digest];
    const { missingBlobDigests } = await clients.cas.findMissingBlobs({
      instanceName: INSTANCE,
      blobDigests: digests,
    });
    expect(missingBlobDigests).toEqual(digests.slice(1));
  });

  it("tell visitors whatever the old objects can answer, and of the rest that a deploy is under way", async () => {
    const worker = await MixedWorker.start(version("present"), version("previous"), await temporaryDirectory());
    onTestFinished(() => worker.stop());
    for (const { path, response } of await visit(worker.url)) {
      if (response.status >= 500) await expectDeploy(path, response);
    }
  });

  it.each<{ from: Version["name"]; to: Version["name"] }>([
    { from: "previous", to: "present" },
    { from: "present", to: "previous" },
  ])(
    "are deployed over each other, from the $from to the $to one, while an action runs and another waits",
    async (deploy) => {
      const data = await temporaryDirectory();
      const gate = new Gate(data);
      const before = await MixedWorker.start(version(deploy.from), version(deploy.from), data);
      await startAgent(version(deploy.from), before.url, join(data, "agent"), "--max-actions", "1");
      const clients = await connect(version(deploy.from), before.url);
      const running = prepareAction({ script: `${gate.script}; echo ran` });
      const waiting = prepareAction({ script: "echo waited" });
      const cached = prepareAction({ script: "echo cached" });
      await execute(clients, cached);
      await upload(clients, [...running.blobs, ...waiting.blobs]);
      const executed = toTheEnd(
        clients.execution.execute({ instanceName: INSTANCE, actionDigest: running.digest, inlineStdout: true }),
      );
      await gate.reached();
      const stream = clients.execution.execute({ instanceName: INSTANCE, actionDigest: waiting.digest });
      const queued = stream[Symbol.asyncIterator]();
      for (let stage; stage !== Stage.QUEUED;) {
        const next = await queued.next();
        expect(next.done).toBe(false);
        if (next.done !== true) stage = stageOf(next.value);
      }

      await before.stop();
      const after = await MixedWorker.start(version(deploy.to), version(deploy.to), data, before.port);
      onTestFinished(() => after.stop());
      await gate.open();

      const { response } = await executed;
      expect(response.status?.code ?? 0, response.status?.message).toBe(0);
      expect(response.result?.exitCode).toBe(0);
      expect(await gate.arrivals()).toHaveLength(1);
      expect((await toTheEnd({ [Symbol.asyncIterator]: () => queued })).response.result?.exitCode).toBe(0);
      expect((await execute(clients, cached)).response.cachedResult).toBe(true);
    },
  );
});

describe("a Worker that asks objects for what their version doesn't have", () => {
  async function start(): Promise<MixedWorker> {
    const objects = { name: "previous", worker: OBJECTS_WITHOUT_METHODS, program: "" } as const;
    const worker = await MixedWorker.start(await presentVersion(), objects, await temporaryDirectory());
    onTestFinished(() => worker.stop());
    return worker;
  }

  it("says on pages and routes that a deploy is under way", async () => {
    const worker = await start();
    for (const { path, response } of await visit(worker.url)) {
      if (path !== "/metrics" || response.status !== 200) await expectDeploy(path, response);
    }
  });

  it("is UNAVAILABLE to clients, who try again", async () => {
    const worker = await start();
    const { cas, actionCache, operations } = clientsOver(
      createGrpcWebTransport({ baseUrl: worker.url, ...CONNECTION_PER_CALL }),
    );
    const digest = blobOf(randomBytes(16)).digest;
    const calls = [
      () => cas.findMissingBlobs({ instanceName: INSTANCE, blobDigests: [digest] }),
      () => actionCache.getActionResult({ instanceName: INSTANCE, actionDigest: digest }),
      () => operations.getOperation({ name: `${INSTANCE}/operations/0/${OPERATION_ID}` }),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(/^\[unavailable\] a deploy is under way/);
  });
});

/** Objects of which the Worker can ask nothing. */
const OBJECTS_WITHOUT_METHODS = `
  import { DurableObject } from "cloudflare:workers";
  export class Instance extends DurableObject {}
  export class CacheShard extends DurableObject {}
  export default { fetch: () => new Response() };
`;

/** Nobody's. */
const OPERATION_ID = "00000000-0000-4000-8000-000000000000";

/** What people and programs see of an endpoint that asks its objects. */
async function visit(url: string): Promise<{ path: string; response: Response }[]> {
  const hash = "0".repeat(64);
  const paths = [
    "/",
    `/ui/${INSTANCE}`,
    `/ui/${INSTANCE}/agents`,
    `/ui/${INSTANCE}/operations/0/${OPERATION_ID}`,
    `/ui/${INSTANCE}/invocations/none`,
    `/ui/${INSTANCE}/actions/sha256/${hash}/1`,
    `/${INSTANCE}/cas/${hash}`,
    `/${INSTANCE}/ac/${hash}`,
    `/v1/instances/${INSTANCE}/demand`,
    "/metrics",
    "/readyz",
  ];
  return Promise.all(paths.map(async (path) => ({ path, response: await fetch(url + path) })));
}

async function expectDeploy(path: string, response: Response): Promise<void> {
  const seen = { path, status: response.status, retryAfter: response.headers.get("retry-after") };
  expect(seen).toEqual({ path, status: 503, retryAfter: "60" });
  expect(await response.text()).toMatch(/a deploy is under way.*try again in a minute/i);
}

/** An agent, and what it runs, for as long as the test. */
async function startAgent({ program }: Version, endpoint: string, workDirectory: string, ...flags: string[]) {
  const where = ["--endpoint", endpoint, "--work-dir", workDirectory];
  // The tests' actions wait for gates that are none of their inputs.
  const agent = new RemexProcess(["agent", "--name", "agent", "--sandbox", "none", ...where, ...flags], {}, program);
  onTestFinished(() => agent.kill());
  await agent.printed(/^Agent +ready/m);
}

/** Clients behind a bridge, for as long as the test. */
async function connect({ program }: Version, endpoint: string): Promise<Clients> {
  const bridge = new RemexProcess(["bridge", "--endpoint", endpoint, "--listen", "0"], {}, program);
  onTestFinished(() => bridge.kill());
  const transport = createNativeTransport(await bridge.printed(/^Bridge +ready at grpc:\/\/([^,\s]+)/m));
  onTestFinished(() => {
    transport.close();
  });
  return clientsOver(transport);
}
