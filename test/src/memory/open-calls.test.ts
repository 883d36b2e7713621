import { once } from "node:events";
import { request } from "node:http";
import { Code } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { ExecutionStream } from "../../durable-objects/instance/execution-stream.ts";
import { clientsOf, execute, instanceConfig } from "../../durable-objects/instance/instance-fixture.ts";
import { ScriptedAgent } from "../../durable-objects/instance/scripted-agent.ts";
import { type Clients, clientsOver } from "../../e2e/clients.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { refusalOf } from "../clients.ts";
import { retryDelayMs, tokenNamed, withToken } from "../quota/callers.ts";

/** Of one caller. */
const MOST_CALLS = 2400;
const MOST_WAITS = 2100;

let worker: TestWorker;
let anonymous: Clients;
let other: Clients;
beforeAll(async () => {
  const roles = { "*": ["executor", "cache-writer", "agent"] };
  worker = await startWorker({
    entryPoint: "test/src/memory/full-worker/full-worker.ts",
    config: instanceConfig({}, { access: { anonymous: roles, tokens: [tokenNamed("other", undefined, roles)] } }),
  });
  anonymous = clientsOf(worker);
  other = clientsOver(
    createGrpcWebTransport({ baseUrl: worker.url, ...CONNECTION_PER_CALL, interceptors: [withToken("other")] }),
  );
});
afterAll(() => worker.dispose());

test("a caller who waits for too many actions is told so, and others go on", async () => {
  const agent = await ScriptedAgent.connect(worker.url, "agent", { maxActions: 1 });
  const stream = await execute(anonymous);
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.next();
  await fetch(`${worker.url}/fill/waits/${MOST_WAITS - 1}`);

  const waiting = () => new ExecutionStream(anonymous.execution.waitExecution({ name })).next();
  const executing = async () => (await execute(anonymous)).done();
  for (const call of [waiting, executing]) {
    const refusal = await refusalOf(call());
    expect(refusal.code).toBe(Code.ResourceExhausted);
    expect(refusal.message).toContain("too many calls wait for actions here at once");
    expect(retryDelayMs(refusal)).toBeGreaterThan(0);
  }
  const watcher = new ExecutionStream(other.execution.waitExecution({ name }));
  await watcher.next();

  agent.complete(leaseId);
  expect((await stream.response()).result?.exitCode).toBe(0);
  expect((await watcher.response()).result?.exitCode).toBe(0);
  // There is room for one again.
  const next = await execute(anonymous);
  agent.complete((await agent.next("lease")).leaseId);
  expect((await next.response()).result?.exitCode).toBe(0);
  await agent.close();
});

describe("a caller who leaves too many requests unfinished is told so, and others go on", () => {
  const unfinished = 10;
  const ask = (clients: Clients) => clients.capabilities.getCapabilities({ instanceName: "main" });

  beforeAll(async () => {
    await fetch(`${worker.url}/fill/calls/${MOST_CALLS - unfinished}`);
  });

  const write = { method: "POST", headers: { "content-type": "application/grpc-web+proto" } };
  const put = { method: "PUT", headers: { "content-length": "100" } };
  test.each([
    ["calls", "/google.bytestream.ByteStream/Write", write],
    ["uploads by HTTP", `/main/cas/${"0".repeat(64)}`, put],
  ])("%s", async (_, path, options) => {
    const sent = await Promise.all(
      Array.from({ length: unfinished }, async () => {
        const begun = request(`${worker.url}${path}`, { ...options, agent: false });
        // It is destroyed, and that is meant.
        begun.on("error", () => undefined);
        begun.write(Buffer.alloc(3));
        await once(begun, "socket");
        return begun;
      }),
    );
    const refusal = await vi.waitFor(() => refusalOf(ask(anonymous)), 20_000);
    expect(refusal.code).toBe(Code.ResourceExhausted);
    expect(refusal.message).toContain("too many calls are open here at once");
    await ask(other);

    for (const begun of sent) begun.destroy();
    await vi.waitFor(() => ask(anonymous), 20_000);
  });
});
