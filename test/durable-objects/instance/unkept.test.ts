import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { useInstance } from "./instance-fixture.ts";

const instance = useInstance({});

/** Runs SQL in the Instance object. */
async function sql(query: string): Promise<void> {
  const object = { name: "0/main" };
  await (await instance.worker.mf.unsafeGetDurableObjectStorage(LOCAL_WORKER.name, "Instance", object)).exec(query);
}

test("an action that can't be stored is refused at once, and takes no agent's time", async () => {
  const agent = await instance.connect("waiting");
  await sql("CREATE TRIGGER full BEFORE INSERT ON executions BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
  await expect((await instance.execute()).done()).rejects.toMatchObject({ code: Code.Unavailable });
  await sql("DROP TRIGGER full");
  const stream = await instance.execute();
  agent.complete((await agent.next("lease")).leaseId);
  await expect(stream.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("one that joins a running action and can't be stored is refused, and the other goes on", async () => {
  const agent = await instance.connect("busy");
  const first = await instance.execute({ salt: "shared" });
  const { leaseId } = await agent.next("lease");
  await first.until(Stage.EXECUTING);
  await sql(
    "CREATE TRIGGER full BEFORE INSERT ON joined_operations BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
  );
  await expect((await instance.execute({ salt: "shared" })).done()).rejects.toMatchObject({ code: Code.Unavailable });
  await sql("DROP TRIGGER full");
  agent.complete(leaseId);
  await expect(first.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
});

test("a platform of more than any agent can offer is INVALID_ARGUMENT", async () => {
  for (const properties of [
    { huge: "x".repeat(3_000_000) },
    Object.fromEntries(Array.from({ length: 257 }, (_, n) => [`property-${n}`, "x"])),
  ]) {
    await expect((await instance.execute({ properties })).done()).rejects.toMatchObject({ code: Code.InvalidArgument });
  }
});
