import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import {
  DirectorySchema,
  ExecuteOperationMetadataSchema,
  ExecutionStage_Value as Stage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { blobOf, messageBlob } from "../../e2e/action.ts";
import { type ExecuteOptions, useInstance } from "./instance-fixture.ts";
import type { ScriptedAgent } from "./scripted-agent.ts";

const instance = useInstance({});

/** Runs an action, and returns the name of the agent that got it. */
async function ranOn(agents: readonly ScriptedAgent[], options: ExecuteOptions): Promise<string | undefined> {
  const stream = await instance.execute(options);
  const { metadata } = await stream.until(Stage.EXECUTING);
  const about = metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema);
  const agent = agents.find(({ id }) => id === about?.partialExecutionMetadata?.worker);
  if (agent !== undefined) agent.complete((await agent.next("lease")).leaseId);
  await stream.response();
  return agent?.id;
}

test("an action goes to the agent that says that it has the input root, though others wait for longer", async () => {
  const inputs = { "a.c": "int a;" };
  const { digest } = messageBlob(DirectorySchema, { files: [{ name: "a.c", digest: blobOf("int a;").digest }] });
  const names = ["cold-1", "warm", "cold-2"];
  const agents = [];
  for (const name of names) {
    agents.push(await instance.connect(name, name === "warm" ? { cachedInputRoots: [digest] } : {}));
  }
  for (let n = 0; n < 3; n++) expect(await ranOn(agents, { inputs })).toBe("warm");
});

test("an action goes where its target was made before: most of its inputs are there", async () => {
  const agents = [await instance.connect("one"), await instance.connect("two"), await instance.connect("three")];
  const version = (text: string) => ({ inputs: { "a.c": text }, targetId: "//a:a" });
  const first = await ranOn(agents, version("1"));
  const others = [];
  for (const text of ["2", "3", "4"]) others.push(await ranOn(agents, version(text)));
  expect(others).toEqual([first, first, first]);
  // Without a target the one that had nothing to do for longest is next.
  expect(await ranOn(agents, { inputs: { "a.c": "5" } })).not.toBe(first);
});
