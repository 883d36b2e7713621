import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BazelWorkspace } from "./bazel.ts";
import { Service } from "./service.ts";
import { BAZEL, GCC, lacking } from "./tools.ts";

const LACKING = lacking(BAZEL, GCC);

const build = (text: string) => `
genrule(
    name = "greeting",
    outs = ["greeting.txt"],
    cmd = "echo '${text}' > $@",
)
`;

describe.skipIf(LACKING !== "")(`Bazel uses Remex as a cache alone${LACKING}`, () => {
  let service: Service;
  let workspace: BazelWorkspace;

  beforeAll(async () => {
    [service, workspace] = await Promise.all([
      // Nobody executes anything here.
      Service.start({ args: ["--no-agent"] }),
      BazelWorkspace.create({}),
    ]);
  });

  afterAll(async () => {
    await workspace.remove();
    await service.stop();
  });

  const overGrpc = () => [`--remote_cache=grpc://${service.bridgeAddress}`, "--remote_instance_name=main"];
  const overHttp = () => [`--remote_cache=${service.workerUrl}/main`];

  it.each([
    ["by HTTP, straight at the Worker, what was stored by gRPC", overGrpc, overHttp],
    ["by gRPC, over the bridge, what was stored by HTTP", overHttp, overGrpc],
  ])("finds %s", async (way, storing, finding) => {
    await workspace.write("BUILD.bazel", build(way));
    await workspace.clean();

    const first = await workspace.run("build", "//:greeting", ...storing(), "--spawn_strategy=local");
    await workspace.clean();
    const second = await workspace.run("build", "//:greeting", ...finding(), "--spawn_strategy=local");

    expect(first, first.output).toMatchObject({ exitCode: 0 });
    expect(first.processes.get("local")).toBe(1);
    expect(second, second.output).toMatchObject({ exitCode: 0 });
    expect(second.processes.get("remote cache hit")).toBe(1);
    expect(second.processes.get("local")).toBeUndefined();
    expect(await workspace.read("bazel-bin/greeting.txt")).toBe(`${way}\n`);
  });
});
