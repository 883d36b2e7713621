import { expect, test } from "vitest";
import { Strangers } from "../../../durable-objects/instance/strangers.ts";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { startWorker } from "../../worker.ts";
import { instanceConfig } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

test("the one that has waited longest makes room, and only for one that is too many", () => {
  const away: string[] = [];
  const strangers = new Strangers<string>(3, (socket) => away.push(socket), ["a", "b"]);
  strangers.add("c");
  expect(away).toEqual([]);
  strangers.add("d");
  expect(away).toEqual(["a"]);
});

test("one that said who it is, or went, is counted no more", () => {
  const away: string[] = [];
  const strangers = new Strangers<string>(2, (socket) => away.push(socket), ["a", "b"]);
  strangers.delete("a");
  strangers.add("c");
  expect(away).toEqual([]);
  strangers.add("d");
  expect(away).toEqual(["b"]);
});

test("more that are here already than there is room for", () => {
  const away: string[] = [];
  new Strangers<string>(1, (socket) => away.push(socket), ["a", "b", "c"]);
  expect(away).toEqual(["a", "b"]);
});

test("an object remembers in its sleep who has not said Hello, and in which order they came", async () => {
  const worker = await startWorker({
    entryPoint: "test/durable-objects/instance/strict-worker/strict-worker.ts",
    config: instanceConfig({}),
    onLog: () => undefined,
  });
  try {
    const agent = await ScriptedAgent.connect(worker.url, "agent");
    const hello = async (of: ScriptedAgent) => {
      of.send({ case: "hello", value: { agentId: of.id, name: of.id, maxActions: 1 } });
      await of.next("welcome");
    };
    const sleep = async () => {
      // Only an object that is awake can be sent to sleep.
      await hello(agent);
      await worker.mf.unsafeEvictDurableObject(LOCAL_WORKER.name, "Instance", { name: "0/main" });
    };
    const open = async (id: string) => {
      const stranger = await ScriptedAgent.open(worker.url, id);
      // A heartbeat is no Hello. Without one, workerd takes 10 s to end a connection that was closed.
      stranger.sendRaw("ping");
      return stranger;
    };
    const first = await open("first");
    const second = await open("second");
    await sleep();
    const third = await open("third");
    const closed = await first.next("closed");
    expect(closed.code).toBe(4002);
    expect(closed.reason).toContain("say it first");
    await sleep();

    // Those that stayed may still say it, and are then none that must go.
    await hello(second);
    const fourth = await open("fourth");
    const fifth = await open("fifth");
    await expect(third.next("closed")).resolves.toMatchObject({ code: 4002 });
    expect([agent, second, fourth, fifth].map((each) => each.pending("closed"))).toEqual([0, 0, 0, 0]);
    await Promise.all([agent, second, fourth, fifth].map((each) => each.close()));
  } finally {
    await worker.dispose();
  }
});
