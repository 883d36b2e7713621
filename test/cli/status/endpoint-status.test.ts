import { once } from "node:events";
import http from "node:http";
import { expect, it, onTestFinished } from "vitest";
import { askStatus, type StatusQuestion } from "../../../cli/status/endpoint-status.ts";

type Pages = Readonly<Record<string, { readonly status?: number; readonly text: string }>>;

const DEMAND = {
  instance: "a/b",
  queued: 1,
  active: 2,
  oldest_wait_s: 3,
  slots: { free: 4, busy: 5 },
  agents: 6,
  platforms: [],
};

/** A Worker of which these pages are all that there is. */
async function startEndpoint(pages: Pages, seen: http.IncomingMessage[] = []): Promise<StatusQuestion> {
  const server = http.createServer((request, response) => {
    seen.push(request);
    const page = pages[request.url ?? ""] ?? { status: 404, text: "nothing there" };
    response.writeHead(page.status ?? 200).end(page.text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { endpoint: new URL(`http://127.0.0.1:${port}/prefix/`), token: "secret", instanceName: undefined };
}

it("demand and metrics of all shards make up an instance's status", async () => {
  const metrics = [
    'remex_build_info{version="1.2.3"} 1',
    'remex_agents{instance="a/b",shard="0",state="draining"} 1',
    'remex_agents{instance="a/b",shard="1",state="draining"} 2',
    'remex_executions_completed_total{instance="a/b",shard="0"} 10',
    'remex_executions_completed_total{instance="a/b",shard="1"} 20',
    'remex_action_cache_lookups_total{instance="a/b",result="hit"} 7',
  ].join("\n");
  const seen: http.IncomingMessage[] = [];
  const question = await startEndpoint(
    {
      "/prefix/readyz": { text: "ready\n" },
      "/prefix/metrics": { text: metrics },
      "/prefix/v1/instances/a%2Fb/demand": { text: JSON.stringify({ ...DEMAND, added_later: 1 }) },
    },
    seen,
  );
  expect(await askStatus(question)).toMatchObject({
    ready: true,
    version: "1.2.3",
    instances: [{ ...DEMAND, agents_draining: 3, agents_missing: 0, executions_completed: 30, action_cache_hits: 7 }],
  });
  expect(seen.map(({ headers }) => headers.authorization)).toEqual(["Bearer secret", "Bearer secret", "Bearer secret"]);
});

it("one that isn't ready is asked for no more", async () => {
  const question = await startEndpoint({ "/prefix/readyz": { status: 503, text: "the store is away\n" } });
  expect(await askStatus(question)).toMatchObject({ ready: false, reason: "the store is away", instances: [] });
});

it.each([
  [401, "who are you", /who are you.*--token-file/],
  [403, "not yours", /not yours.*--token-file/],
  [404, "what", /has no \/metrics; check that it is a Remex Worker/],
  [500, "broken", /HTTP 500: broken/],
])("HTTP %d is said with what to do", async (status, text, message) => {
  const question = await startEndpoint({ "/prefix/readyz": { text: "" }, "/prefix/metrics": { status, text } });
  await expect(askStatus(question)).rejects.toThrow(message);
});

it("one that can't be reached is a fault that names it", async () => {
  const question = { endpoint: new URL("http://127.0.0.1:1"), token: undefined, instanceName: undefined };
  await expect(askStatus(question)).rejects.toThrow(/http:\/\/127\.0\.0\.1:1\/readyz can't be reached \(.+\)/);
});
