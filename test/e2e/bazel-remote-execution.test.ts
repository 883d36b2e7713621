import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BazelRun, BazelWorkspace } from "./bazel.ts";
import { Service } from "./service.ts";
import { BAZEL, GCC, lacking, LUA_SOURCE } from "./tools.ts";

const LACKING = lacking(BAZEL, GCC, LUA_SOURCE);

/** Every *.c of Lua but that of its compiler: one compile each. */
const COMPILES = 33;

describe.skipIf(LACKING !== "")(`Bazel builds Lua remotely${LACKING}`, () => {
  let service: Service;
  let workspace: BazelWorkspace;

  const bazel = (command: string, ...args: readonly string[]): Promise<BazelRun> =>
    workspace.run(
      command,
      `--remote_executor=grpc://${service.bridgeAddress}`,
      "--remote_instance_name=main",
      // Nothing may run here instead.
      "--spawn_strategy=remote",
      "--remote_default_exec_properties=OSFamily=linux",
      "--remote_default_exec_properties=cpu_count=1",
      "--jobs=8",
      ...args,
    );

  beforeAll(async () => {
    [service, workspace] = await Promise.all([Service.start(), BazelWorkspace.withLua()]);
  });

  afterAll(async () => {
    await workspace.remove();
    await service.stop();
  });

  it("runs every compile, the link and the program on the agent", async () => {
    const build = await bazel("build", "//:answers", "//:lua_interpreter");

    expect(build, build.output).toMatchObject({ exitCode: 0 });
    expect(build.processes.get("remote")).toBe(COMPILES + 2);
    expect([...build.processes.keys()].sort()).toEqual(["internal", "remote"]);
    expect(await workspace.read("bazel-bin/answers.txt")).toBe(
      "1229 primes below 10000, whose sum is 5736396\n" +
        "2^53 + 1 = 9007199254740993, and as a float 9007199254740992\n" +
        "etomer noitucexe\n",
    );
    const lua = join(workspace.directory, "bazel-bin/lua_interpreter");
    const { stdout } = await promisify(execFile)(lua, ["-e", "print(6 * 7)"]);
    expect(stdout).toBe("42\n");
  });

  it("runs nothing again on a machine that never built it", async () => {
    await workspace.clean();

    const build = await bazel("build", "//:answers", "//:lua_interpreter");

    expect(build, build.output).toMatchObject({ exitCode: 0 });
    expect(build.processes.get("remote cache hit")).toBe(COMPILES + 2);
    expect(build.processes.has("remote")).toBe(false);
    expect(await workspace.read("bazel-bin/answers.txt")).toContain("1229 primes");
  });

  it("runs only what depends on a source that changed", async () => {
    const path = "lua/lmathlib.c";
    await workspace.write(path, `${await workspace.read(path)}\nint added_by_the_test;\n`);

    const build = await bazel("build", "//:answers");

    expect(build, build.output).toMatchObject({ exitCode: 0 });
    // The one compile, the link, and the program that the new interpreter runs.
    expect(build.processes.get("remote")).toBe(3);
  });

  it("shows the compiler's message, and does not cache the failure", async () => {
    const runs = join(workspace.directory, "runs");
    await workspace.write("broken/broken.c", "int main(void) { return undeclared_thing; }\n");
    // It leaves a mark outside of what it declares, so that the test can count how often it ran.
    await workspace.write(
      "broken/BUILD.bazel",
      `genrule(name = "broken", srcs = ["broken.c"], outs = ["broken.o"], cmd = "echo >> '${runs}'; gcc -c $< -o $@")`,
    );

    const first = await bazel("build", "--verbose_failures", "//broken");
    const second = await bazel("build", "--verbose_failures", "//broken");

    for (const build of [first, second]) {
      expect(build.exitCode).toBe(1);
      expect(build.output).toContain("broken.c:1:25: error: 'undeclared_thing' undeclared");
      expect(build.output).toContain("(Exit 1)");
      const [page = ""] = /http:\S+\/ui\/main\/operations\/\S+/.exec(build.output) ?? [];
      expect(await (await fetch(page)).text()).toContain("&#39;undeclared_thing&#39; undeclared");
      const [, log = ""] = /Server logs of failing action:\s+(\S+)/.exec(build.output) ?? [];
      expect(await readFile(log, "utf8"), build.output).toMatch(/^command: ran for [\d.]+ s, exit code 1$/m);
    }
    expect(await readFile(runs, "utf8")).toBe("\n\n");
  });

  it("reports a test's exit code and log", async () => {
    const executionLog = join(workspace.directory, "execution-log.json");
    const run = await bazel(
      "test",
      "//:passing_test",
      "//:failing_test",
      "--test_output=errors",
      `--execution_log_json_file=${executionLog}`,
    );

    expect(run.exitCode, run.output).toBe(3);
    expect(run.output).toMatch(/^\/\/:passing_test +PASSED/m);
    expect(run.output).toMatch(/^\/\/:failing_test +FAILED/m);
    expect(await readFile(executionLog, "utf8")).toContain('"exitCode": 7');
    const log = await readFile(join(workspace.directory, "bazel-testlogs/failing_test/test.log"), "utf8");
    expect(log).toContain("about to fail");
    expect(log).toContain("expected 4, got 5");
  });
});
