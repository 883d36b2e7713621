import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import {
  closeControlGroups,
  ControlGroup,
  formatControlGroups,
  openControlGroups,
  parseControlGroups,
  type ControlGroups,
} from "../../../worker-agents/runner/control-groups.ts";
import { Runner } from "../../../worker-agents/runner/runner.ts";
import { resourceLimits } from "../../../worker-agents/leases/command-run.ts";
import { leaseOf, shell } from "../leases.ts";
import { waitUntilGone } from "../processes.ts";
import { runAction } from "../run-action.ts";
import { startAgent, temporaryDirectory } from "../running-agent.ts";
import { LeaseProgress_Phase } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";

// What they bound is tested in bounds.test.ts, by an agent that has a group to itself.
const [groups, lacking] = await tryToOpen();
if (lacking !== undefined) console.warn(`SKIPPING TESTS: control groups for killing: ${lacking}`);
afterAll(async () => {
  if (groups !== undefined) await closeControlGroups(groups);
});

async function tryToOpen(): Promise<readonly [ControlGroups | undefined, string | undefined]> {
  try {
    return [await openControlGroups(), undefined];
  } catch (error) {
    return [undefined, error instanceof Error ? error.message : String(error)];
  }
}

/** Writes its number, lets go of all that it could be known by, and stays. */
const DAEMON = `setsid env -i sh -c 'echo $$ > strays; cd /; exec sleep 300 <&- >&- 2>&-' &
  until [ -s strays ]; do sleep 0.01; done; cat strays`;

describe.skipIf(groups === undefined)("a command with a control group", () => {
  it("leaves nothing behind, however it hides", async () => {
    const agent = await startAgent({ controlGroups: "auto" });
    const { exitCode, stdout } = await runAction(agent, { inputs: { "d/": "" }, command: shell(DAEMON) });
    expect(exitCode).toBe(0);
    await waitUntilGone(Number(stdout));
  });

  it("is killed at its time limit, and when it is cancelled, with all that hides", async () => {
    const agent = await startAgent({ controlGroups: "auto" });
    const late = await runAction(agent, { command: shell(`${DAEMON}; sleep 300`), timeoutMs: 1_500 });
    expect(late.outcome).toBe("TIMED_OUT");
    await waitUntilGone(Number(late.stdout));
    const lease = leaseOf(agent.peer, { command: shell("sleep 300") });
    agent.connection.lease(lease);
    await agent.connection.progress(LeaseProgress_Phase.EXECUTING);
    agent.connection.send({ case: "cancel", value: { leaseId: lease.leaseId, reason: "" } });
    await agent.connection.result();
  });

  it("has its exit code, and one that can't be started is no reason to stay in its group", async () => {
    const agent = await startAgent({ controlGroups: "auto" });
    expect(await runAction(agent, { command: { arguments: ["no-such-program"] } })).toMatchObject({ exitCode: 127 });
    expect(await runAction(agent, { command: shell("exit 3") })).toMatchObject({ exitCode: 3 });
    expect((await runAction(agent, { command: shell("cat /proc/self/cgroup") })).stdout).toMatch(
      /remex-\d+-\d+\/\d+-\d+/,
    );
  });

  it("has groups that go with the agent, and with the next one if that was killed", async () => {
    const parent = join(groups?.directory ?? "", "parent");
    await mkdir(parent);
    const left = join(parent, "remex-4194304-1");
    await mkdir(join(left, "1-1"), { recursive: true });
    const opened = await openControlGroups(parent);
    expect(existsSync(left)).toBe(false);
    expect(existsSync(opened.directory)).toBe(true);
  });
});

/** The kernel's files, as far as they can be had without it. */
describe("what a group is told", () => {
  it("is the most memory and CPU time, by the controllers that there are", async () => {
    const directory = await temporaryDirectory();
    const both = { directory, controllers: ["memory", "cpu"], lacking: undefined } as const;
    new ControlGroup(both, "both").bound({ memoryBytes: 1_000_000, cpus: 1.5 });
    const read = (name: string): Promise<string> => readFile(join(directory, name), "utf8");
    expect(await read("both/memory.max")).toBe("1000000");
    expect(await read("both/memory.oom.group")).toBe("1");
    expect(await read("both/cpu.max")).toBe("150000 100000");
    new ControlGroup(both, "free").bound({});
    new ControlGroup({ ...both, controllers: [] }, "unbounded").bound({ memoryBytes: 1_000_000, cpus: 1.5 });
    for (const name of ["free", "unbounded"]) expect(existsSync(join(directory, name, "memory.max"))).toBe(false);
    // The machine's memory may end before anybody's limit.
    expect(await read("free/memory.oom.group")).toBe("1");
    expect(parseControlGroups(formatControlGroups(both))).toEqual(both);
  });

  it("is not to spare CPU time when it is to die", async () => {
    const directory = await temporaryDirectory();
    const group = new ControlGroup({ directory, controllers: ["cpu"], lacking: undefined }, "g");
    group.bound({ cpus: 0.01 });
    group.kill();
    const read = (name: string): Promise<string> => readFile(join(directory, "g", name), "utf8");
    expect([await read("cpu.max"), await read("cgroup.kill")]).toEqual(["max 100000", "1"]);
  });

  it("says whose memory had come to an end when processes were killed for want of it", async () => {
    const directory = await temporaryDirectory();
    const group = new ControlGroup({ directory, controllers: ["memory"], lacking: undefined }, "g");
    const said = async (atLimit: number, kills: number): Promise<string | undefined> => {
      const events = `low 0\noom ${atLimit}\noom_kill ${kills}\noom_group_kill 0\n`;
      await writeFile(join(directory, "g", "memory.events"), events);
      return group.memoryShortage;
    };
    expect([await said(5, 0), await said(5, 2), await said(0, 2)]).toEqual([undefined, "command", "machine"]);
  });
});

it("a control group that fails is the machine's failure, not that of a program which is not there", async () => {
  const directory = await temporaryDirectory();
  const runner = new Runner({ directory: join(directory, "absent"), controllers: [], lacking: undefined });
  onTestFinished(() => {
    runner.close();
  });
  const command = {
    arguments: ["/bin/true"],
    environment: {},
    workingDirectory: directory,
    ownDirectory: directory,
    stdoutPath: join(directory, "stdout"),
    stderrPath: join(directory, "stderr"),
    timeoutMs: 60_000,
    maxStdioBytes: 1_000,
  };
  await expect(runner.run(command, new AbortController().signal)).rejects.toThrow(
    "the command's control group: ENOENT",
  );
});

it("an action is bounded by what it asks for", () => {
  const asked = (properties: Readonly<Record<string, string>>) =>
    resourceLimits(Object.entries(properties).map(([name, value]) => ({ name, value })));
  expect(asked({ cpu_count: "2", memory_kb: "1024", OSFamily: "linux" })).toEqual({ cpus: 2, memoryBytes: 1_048_576 });
  expect(asked({ cpu_count: "many", memory_kb: "0" })).toEqual({});
  // The kernel takes no parts of bytes, and only so many of them.
  expect(asked({ memory_kb: "1000.001" })).toEqual({ memoryBytes: 1001 * 1024 });
  expect(asked({ cpu_count: "1e300", memory_kb: "1e300" })).toEqual({ cpus: 1e6, memoryBytes: 1.024e15 });
});
