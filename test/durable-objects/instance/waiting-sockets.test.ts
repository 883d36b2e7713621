import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../../worker.ts";
import { refusalOf } from "../../src/clients.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { clientsOf, execute, instanceConfig } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

/** Of all sockets of the object, as the Worker of these tests has it. */
const MAX_SOCKETS = 6;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker({
    entryPoint: "test/durable-objects/instance/strict-worker/strict-worker.ts",
    config: instanceConfig({}),
  });
});
afterAll(() => worker.dispose());

test("where too many wait, one more is told so, and agents still come in and end what is waited for", async () => {
  const clients = clientsOf(worker);
  const stream = await execute(clients);
  const { name } = await stream.next();
  const wait = () => new ExecutionStream(clients.execution.waitExecution({ name }));
  const waiting = [];
  for (let i = 1; i < MAX_SOCKETS; i++) {
    const watcher = wait();
    await watcher.next();
    waiting.push(watcher);
  }
  for (const call of [() => wait().next(), async () => (await execute(clients)).done()]) {
    const refusal = await refusalOf(call());
    expect(refusal.code).toBe(Code.ResourceExhausted);
    expect(refusal.message).toContain('too many calls wait for actions of instance "main"');
  }

  const agent = await ScriptedAgent.connect(worker.url, "agent", { maxActions: 1 });
  agent.complete((await agent.next("lease")).leaseId);
  for (const { result } of await Promise.all([stream, ...waiting].map((watcher) => watcher.response()))) {
    expect(result?.exitCode).toBe(0);
  }
  // There is room for others again.
  const next = await execute(clients);
  agent.complete((await agent.next("lease")).leaseId);
  expect((await next.response()).result?.exitCode).toBe(0);
  await agent.close();
});
