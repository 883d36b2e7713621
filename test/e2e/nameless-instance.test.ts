import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BazelWorkspace } from "./bazel.ts";
import { Service } from "./service.ts";
import { BAZEL, lacking } from "./tools.ts";

const LACKING = lacking(BAZEL);

describe.skipIf(LACKING !== "")(`an instance without a name, as Bazel takes by default${LACKING}`, () => {
  let service: Service;
  let workspace: BazelWorkspace;

  beforeAll(async () => {
    const files = { "BUILD.bazel": 'genrule(name = "made", outs = ["made.txt"], cmd = "echo remote > $@")' };
    [service, workspace] = await Promise.all([Service.start({ instanceName: "" }), BazelWorkspace.create(files)]);
  });

  afterAll(async () => {
    await workspace.remove();
    await service.stop();
  });

  it("has agents, executes, and is found by people and autoscalers", async () => {
    const build = await workspace.run("build", `--remote_executor=grpc://${service.bridgeAddress}`, "//:made");
    expect(build, build.output).toMatchObject({ exitCode: 0 });
    expect(build.processes.get("remote")).toBe(1);
    expect(await workspace.read("bazel-bin/made.txt")).toBe("remote\n");

    const page = await (await fetch(`${service.workerUrl}/ui/~`)).text();
    expect(page).toMatch(/href="\/ui\/~\/operations\/0\/[0-9a-f-]+"/);
    const demand = await fetch(`${service.workerUrl}/v1/instances/~/demand`);
    expect(await demand.json()).toMatchObject({ instance: "", queued: 0, agents: 1 });
  });
});
