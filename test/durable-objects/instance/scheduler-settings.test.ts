import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ExecuteOperationMetadataSchema,
  ExecutionStage_Value as Stage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { startWorker } from "../../worker.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { clientsOf, execute, type ExecuteOptions, instanceConfig } from "./instance-fixture.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

/** An instance whose scheduler is told so, for one test. */
async function instanceWith(scheduler: Readonly<Record<string, unknown>>) {
  const worker = await startWorker({ config: instanceConfig(scheduler) });
  onTestFinished(() => worker.dispose());
  const connect = async (id: string, properties: Readonly<Record<string, string>> = {}, maxActions = 1) => {
    const platform = { properties: Object.entries(properties).map(([name, value]) => ({ name, value })) };
    return ScriptedAgent.connect(worker.url, id, { maxActions, platform });
  };
  const start = (options: ExecuteOptions = {}) => execute(clientsOf(worker), options);
  /** Runs an action to its end, on the agent that is given it, whose name is returned. */
  const ranOn = async (agents: readonly ScriptedAgent[], options: ExecuteOptions = {}) => {
    const stream = await start(options);
    const { metadata } = await stream.until(Stage.EXECUTING);
    const about = metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema);
    const agent = agents.find(({ id }) => id === about?.partialExecutionMetadata?.worker);
    agent?.complete((await agent.next("lease")).leaseId);
    await stream.response();
    return agent?.id;
  };
  return { clients: clientsOf(worker), connect, ranOn, start };
}

test("max_queued_actions: one more than may wait is refused, and told when to come again", async () => {
  const { start } = await instanceWith({ max_queued_actions: 2, no_worker_timeout_s: 600 });
  for (let n = 0; n < 2; n++) await (await start()).until(Stage.QUEUED);
  const refused = await (await start()).done().catch((reason: unknown) => ConnectError.from(reason));
  if (!(refused instanceof ConnectError)) throw new Error("it was not refused");
  expect(refused.code).toBe(Code.ResourceExhausted);
  expect(refused.rawMessage).toContain("2 actions are queued, which is the limit (max_queued_actions)");
  expect(refused.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n } }]);
});

describe("allocation_strategy", () => {
  const order = async (strategy: Readonly<Record<string, unknown>>) => {
    const { connect, ranOn } = await instanceWith(strategy);
    const agents = [await connect("a"), await connect("b"), await connect("c")];
    const ran: (string | undefined)[] = [];
    // Each with other inputs: else they would go where they are already.
    for (const input of ["1", "2", "3", "4"]) ran.push(await ranOn(agents, { inputs: { input } }));
    return ran;
  };

  test("least_recently_used, by default, takes turns", async () => {
    const ran = await order({});
    expect(new Set(ran.slice(0, 3)).size).toBe(3);
    expect(ran[3]).toBe(ran[0]);
  });

  test("most_recently_used keeps to one, so that others can be let go", async () => {
    const ran = await order({ allocation_strategy: "most_recently_used" });
    expect(new Set(ran).size).toBe(1);
  });
});

describe("a property that supported_platform_properties does not list", () => {
  const listed = { supported_platform_properties: {} };

  test("is exact by default", async () => {
    const { connect, ranOn } = await instanceWith(listed);
    const agents = [await connect("red", { colour: "red" }), await connect("blue", { colour: "blue" })];
    expect(await ranOn(agents, { properties: { colour: "blue" } })).toBe("blue");
  });

  test("is not looked at with unlisted_properties: ignore", async () => {
    const { connect, ranOn } = await instanceWith({ ...listed, unlisted_properties: "ignore" });
    const agents = [await connect("plain")];
    expect(await ranOn(agents, { properties: { colour: "blue" } })).toBe("plain");
  });

  test("is refused with unlisted_properties: reject", async () => {
    const { start } = await instanceWith({ ...listed, unlisted_properties: "reject" });
    const refused = (await start({ properties: { colour: "blue" } })).done();
    await expect(refused).rejects.toMatchObject({ code: Code.InvalidArgument });
    await expect(refused).rejects.toThrow("colour");
  });
});

test("a priority property must be there with any value, and one to be ignored need not be there", async () => {
  const kinds = { supported_platform_properties: { pool: "priority", note: "ignore" } };
  const { connect, ranOn } = await instanceWith(kinds);
  const agents = [await connect("without"), await connect("with", { pool: "1" })];
  for (let n = 0; n < 2; n++) expect(await ranOn(agents, { properties: { pool: "7", note: "x" } })).toBe("with");
});

test("the platform is the Action's, or the Command's where the Action has none", async () => {
  const { connect, ranOn } = await instanceWith({});
  const agents = [await connect("linux", { OSFamily: "linux" }), await connect("plan9", { OSFamily: "plan9" })];
  for (const OSFamily of ["plan9", "linux"]) {
    expect(await ranOn(agents, { commandProperties: { OSFamily } })).toBe(OSFamily);
    expect(await ranOn(agents, { properties: { OSFamily } })).toBe(OSFamily);
  }
});

test("missing_action_code: what an Execute of an Action that is not stored ends with", async () => {
  for (const [setting, code] of [
    [{}, Code.NotFound],
    [{ missing_action_code: "FAILED_PRECONDITION" }, Code.FailedPrecondition],
  ] as const) {
    const { clients } = await instanceWith(setting);
    const actionDigest = { hash: "5".repeat(64), sizeBytes: 5n };
    const executing = async () => {
      await new ExecutionStream(clients.execution.execute({ instanceName: "main", actionDigest })).done();
    };
    await expect(executing()).rejects.toMatchObject({ code });
  }
});
