import { expect, test } from "vitest";
import { useInstance } from "../../durable-objects/instance/instance-fixture.ts";
import { startWorker } from "../../worker.ts";
import { executeBuilt } from "./built-action.ts";

const instance = useInstance({ shards: 2 });

async function get(url: string): Promise<{ status: number; text: string }> {
  const response = await fetch(url, { headers: { connection: "close" } });
  return { status: response.status, text: await response.text() };
}

test("an instance of several shards is shown as one", async () => {
  const hello = { maxActions: 4, version: "1.0" };
  const links = [await instance.connect("agent", hello, 0), await instance.connect("agent", hello, 1)];
  const names: string[] = [];
  for (let index = 0; index < 8; index++) {
    const built = { target: `//:t${index}`, invocation: "sharded", environment: { I: String(index) } };
    const stream = await executeBuilt(instance.clients, built);
    const { name } = await stream.next();
    names.push(name);
    const [link] = links.filter((_, shard) => name.includes(`/operations/${shard}/`));
    if (link === undefined) throw new Error(`${name} is of no shard`);
    if (index === 7) {
      await link.next("lease");
      continue;
    }
    link.complete((await link.next("lease")).leaseId);
    await stream.response();
  }
  expect(new Set(names.map((name) => name.split("/")[2]))).toEqual(new Set(["0", "1"]));

  const overview = await get(`${instance.worker.url}/ui/main`);
  for (const name of names) expect(overview.text).toContain(`href="/ui/${name}"`);
  const build = await get(`${instance.worker.url}/ui/main/invocations/sharded`);
  expect(build.text).toContain("<dt>Actions</dt><dd>8</dd>");
  const agents = await get(`${instance.worker.url}/ui/main/agents`);
  expect(agents.text.match(/<h2>agent<\/h2>/g)).toHaveLength(1);
  expect(agents.text).toContain("1 of 4");
});

test("an instance may have a name of several segments, or none", async () => {
  const execution = ["", "team/a"].map((name) => ({ instance_name: name, scheduler: "M", cas_store: "S" }));
  const config = JSON.stringify({ stores: { S: {} }, schedulers: { M: {} }, services: { execution } });
  const worker = await startWorker({ config });
  const front = await get(worker.url);
  for (const path of ["/ui/~", "/ui/team%2Fa"]) {
    expect(front.text).toContain(`href="${path}"`);
    for (const page of ["", "/agents"]) expect((await get(worker.url + path + page)).status).toBe(200);
    const absent = await get(`${worker.url}${path}/operations/0/00000000-0000-0000-0000-000000000000`);
    expect(absent.status).toBe(404);
  }
  await worker.dispose();
});
