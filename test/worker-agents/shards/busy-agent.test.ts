import { expect, it } from "vitest";
import {
  LeaseProgress_Phase as Phase,
  LeaseResult_Outcome as Outcome,
} from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { gate } from "../gate.ts";
import { leaseOf, shell } from "../leases.ts";
import { startAgent } from "../running-agent.ts";

it("tells the shard that it has turned away when it has room again", async () => {
  const { connection, peer } = await startAgent({ maxActions: 1 });
  const { open, path } = await gate();
  connection.lease(leaseOf(peer, { command: shell(`cat '${path}'`) }));
  await connection.progress(Phase.EXECUTING);
  connection.lease(leaseOf(peer, { command: shell("true") }));
  expect((await connection.result()).outcome).toBe(Outcome.BUSY);
  await open("");
  expect((await connection.result()).outcome).toBe(Outcome.COMPLETED);
  expect((await connection.capacity()).maxActions).toBe(1);
});

it("is not full because actions ask for a property that is a number and is not used up", async () => {
  const { connection, peer } = await startAgent({ properties: [{ name: "ubuntu", value: "22.04" }] });
  const { open, path } = await gate();
  const platform = { properties: [{ name: "ubuntu", value: "22.04" }] };
  connection.lease(leaseOf(peer, { command: shell(`cat '${path}'`, { platform }) }));
  await connection.progress(Phase.EXECUTING);
  connection.lease(leaseOf(peer, { command: shell("true", { platform }) }));
  expect((await connection.result()).outcome).toBe(Outcome.COMPLETED);
  await open("");
  expect((await connection.result()).outcome).toBe(Outcome.COMPLETED);
});
