import { availableParallelism } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createNativeTransport } from "./native-transport.ts";
import { prepareAction } from "./action.ts";
import { type Clients, clientsOver, execute } from "./clients.ts";
import { Service } from "./service.ts";

let service: Service;
let transport: ReturnType<typeof createNativeTransport>;
let clients: Clients;

beforeAll(async () => {
  service = await Service.start({ scheduler: { shards: 4, supported_platform_properties: { cpu_count: "minimum" } } });
  transport = createNativeTransport(service.bridgeAddress);
  clients = clientsOver(transport);
});
afterAll(async () => {
  transport.close();
  await service.stop();
});

it("runs the actions of four scheduler shards on one agent, never more at once than it has room for", async () => {
  const actions = Array.from({ length: 24 }, (_, index) =>
    prepareAction({
      // Each action counts who else is there: the agent's cpu_count allows for one at a time.
      script: `mkdir '${service.directory}/busy' || exit 1; sleep 0.02; rmdir '${service.directory}/busy'`,
      properties: { cpu_count: String(availableParallelism()) },
      salt: `shard ${index}`,
    }),
  );
  const runs = await Promise.all(actions.map((action) => execute(clients, action)));
  expect(runs.map(({ response }) => response.result?.exitCode)).toEqual(actions.map(() => 0));
  const shards = runs.map(({ name }) => name.split("/").at(-2));
  expect(new Set(shards)).toEqual(new Set(["0", "1", "2", "3"]));
});
