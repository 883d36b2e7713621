import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BazelRun, BazelWorkspace } from "./bazel.ts";
import { Service } from "./service.ts";
import { BAZEL, lacking } from "./tools.ts";

const LACKING = lacking(BAZEL);

/** Two actions, of which the second takes what the first makes. */
const build = (word: string) => `
genrule(name = "made", outs = ["made.txt"], cmd = "echo made > $@")
genrule(name = "taken", srcs = ["made.txt"], outs = ["taken.txt"], cmd = "(cat $(SRCS); echo ${word}) > $@")
`;

describe.skipIf(LACKING !== "")(`Bazel builds remotely without the bytes${LACKING}`, () => {
  let service: Service;
  let workspace: BazelWorkspace;

  beforeAll(async () => {
    [service, workspace] = await Promise.all([Service.start(), BazelWorkspace.create({})]);
  });

  afterAll(async () => {
    await workspace.remove();
    await service.stop();
  });

  const bazel = (...args: readonly string[]): Promise<BazelRun> =>
    workspace.run(
      "build",
      "//:taken",
      `--remote_executor=grpc://${service.bridgeAddress}`,
      "--remote_instance_name=main",
      "--spawn_strategy=remote",
      "--remote_default_exec_properties=OSFamily=linux",
      ...args,
    );

  /** Which of the outputs are on this machine. */
  const outputs = () =>
    ["made.txt", "taken.txt"].filter((name) => existsSync(join(workspace.directory, "bazel-bin", name)));

  it("downloads nothing with --remote_download_minimal, and builds on what it doesn't have", async () => {
    await workspace.write("BUILD.bazel", build("first"));
    const first = await bazel("--remote_download_minimal");
    expect(first, first.output).toMatchObject({ exitCode: 0 });
    expect(first.processes.get("remote")).toBe(2);
    expect(outputs()).toEqual([]);

    // The intermediate output is an input now that was never on this machine.
    await workspace.write("BUILD.bazel", build("second"));
    const second = await bazel("--remote_download_minimal");
    expect(second, second.output).toMatchObject({ exitCode: 0 });
    expect(second.processes.get("remote")).toBe(1);
    expect(outputs()).toEqual([]);
  });

  it("downloads what was asked for with --remote_download_toplevel", async () => {
    await workspace.write("BUILD.bazel", build("second"));
    await workspace.clean();
    const run = await bazel("--remote_download_toplevel");
    expect(run, run.output).toMatchObject({ exitCode: 0 });
    expect(run.processes.get("remote cache hit")).toBe(2);
    expect(outputs()).toEqual(["taken.txt"]);
    expect(await workspace.read("bazel-bin/taken.txt")).toBe("made\nsecond\n");
  });
});
