import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { instanceConfig } from "../../durable-objects/instance/instance-fixture.ts";
import { startFaultyWorker, type FaultyWorker } from "../../faults/crash-points.ts";

let worker: FaultyWorker;
beforeAll(async () => {
  worker = await startFaultyWorker({ config: instanceConfig({ shards: 2 }) });
});
afterAll(() => worker.dispose());
afterEach(() => worker.plan(undefined));

async function get(path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(worker.url + path, { headers: { connection: "close" } });
  return { status: response.status, text: await response.text() };
}

/** The families that the metrics have samples of. */
async function families(): Promise<string[]> {
  const { status, text } = await get("/metrics");
  expect(status).toBe(200);
  return ["remex_build_info", "remex_agents", "remex_action_cache_lookups_total", "remex_store_bytes"].filter((name) =>
    text.includes(`\n${name}{`),
  );
}

const ALL = ["remex_build_info", "remex_agents", "remex_action_cache_lookups_total", "remex_store_bytes"];

test("one scheduler shard that is away takes its own metrics away, and no others", async () => {
  expect(await families()).toEqual(ALL);
  await worker.plan({ at: 1, effect: "fail-before", of: ["metrics"] });
  const { text } = await get("/metrics");
  expect([...text.matchAll(/^remex_agents\{.*shard="(\d)",state="connected"\}/gm)]).toHaveLength(1);
  await worker.plan({ at: 1, effect: "fail-before", of: ["metrics"] });
  expect(await families()).toEqual(ALL);
});

test.each([
  ["metrics", "remex_agents"],
  ["actionResultLookups", "remex_action_cache_lookups_total"],
  ["standing", "remex_store_bytes"],
])("if %s fails everywhere, there are all others", async (method, lost) => {
  await worker.plan({ at: 1, times: 1000, effect: "fail-before", of: [method] });
  expect(await families()).toEqual(ALL.filter((name) => name !== lost));
});

test("if everything fails there still is what the Worker knows itself; demand is no part of the truth", async () => {
  await worker.plan({ at: 1, times: 1000, effect: "fail-before" });
  expect(await families()).toEqual(["remex_build_info"]);
  await worker.plan({ at: 1, effect: "fail-before", of: ["metrics"] });
  expect((await get("/v1/instances/main/demand")).status).toBe(500);
});

test.each(["R2 head", "metrics", "findMissing"])("the endpoint is not ready if %s fails", async (call) => {
  expect(await get("/readyz")).toEqual({ status: 200, text: "ready\n" });
  await worker.plan({ at: 1, effect: "fail-before", of: [call] });
  const { status, text } = await get("/readyz");
  expect(status).toBeGreaterThanOrEqual(500);
  expect(text).not.toContain("ready");
  await worker.plan(undefined);
  expect((await get("/readyz")).status).toBe(200);
});
