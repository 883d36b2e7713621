import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BazelWorkspace } from "./bazel.ts";
import { Service } from "./service.ts";
import { BAZEL, GCC, lacking } from "./tools.ts";

const LACKING = lacking(BAZEL, GCC);

const BUILD = `
genrule(
    name = "greeting",
    outs = ["greeting.txt"],
    cmd = "echo hello > $@",
)
`;

describe.skipIf(LACKING !== "")(`Bazel uses Remex as a cache alone${LACKING}`, () => {
  let service: Service;
  let workspace: BazelWorkspace;

  beforeAll(async () => {
    [service, workspace] = await Promise.all([
      // Nobody executes anything here.
      Service.start({ args: ["--no-agent"] }),
      BazelWorkspace.create({ "BUILD.bazel": BUILD }),
    ]);
  });

  afterAll(async () => {
    await workspace.remove();
    await service.stop();
  });

  it.each([
    ["gRPC, by the bridge", () => [`--remote_cache=grpc://${service.bridgeAddress}`, "--remote_instance_name=main"]],
    ["HTTP, straight at the Worker", () => [`--remote_cache=${service.workerUrl}/main`]],
  ])("stores what was built here, and finds it again, over %s", async (_way, flagsOf) => {
    const flags = flagsOf();
    await workspace.clean();

    const first = await workspace.run("build", "//:greeting", ...flags, "--spawn_strategy=local");
    await workspace.clean();
    const second = await workspace.run("build", "//:greeting", ...flags, "--spawn_strategy=local");

    expect(first, first.output).toMatchObject({ exitCode: 0 });
    expect(first.processes.get("local")).toBe(1);
    expect(second, second.output).toMatchObject({ exitCode: 0 });
    expect(second.processes.get("remote cache hit")).toBe(1);
    expect(second.processes.get("local")).toBeUndefined();
    expect(await workspace.read("bazel-bin/greeting.txt")).toBe("hello\n");
  });
});
