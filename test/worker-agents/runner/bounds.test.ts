import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { lackingForBounds, startDelegatedAgent, type DelegatedAgent } from "../delegated-agent.ts";
import { shell, type ActionSpec } from "../leases.ts";
import { runAction, type Ran } from "../run-action.ts";

/** More than any limit here, by a process that is not the one which the agent started. */
const USE_MEMORY = "head -c 1000000000 /dev/zero | tail; echo and on";

/** Sets $group to the directory of the command's group. */
const OWN_GROUP = "group=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)";

function asking(properties: Readonly<Record<string, string>>, script: string): ActionSpec {
  const platform = { properties: Object.entries(properties).map(([name, value]) => ({ name, value })) };
  return { command: shell(script, { platform }) };
}

function logOf({ peer }: DelegatedAgent, { result }: Ran): string {
  const digest = result.serverLogs["agent"]?.digest;
  return digest === undefined ? "" : peer.cas.get(digest).toString();
}

describe.skipIf(lackingForBounds !== undefined)("a command with a control group that bounds it", () => {
  it("is killed beyond its memory, and told which limit it was and how to raise it; the agent goes on", async () => {
    const agent = await startDelegatedAgent();
    const ran = await runAction(agent, asking({ memory_kb: "65536" }, USE_MEMORY));
    expect(ran).toMatchObject({ outcome: "COMPLETED", exitCode: 137, stdout: "" });
    expect(ran.stderr).toContain("remex: /bin/sh: killed: it wanted more memory than the 65536 KiB");
    expect(ran.stderr).toContain('exec_properties = {"memory_kb": "131072"}');
    expect(logOf(agent, ran)).toMatch(/^limits: .*, 65536 KiB of memory$/m);
    expect(logOf(agent, ran)).toMatch(/^command: .*, exit code 137, killed at its limit of memory$/m);
    // What is killed for another reason is not told so.
    const killed = await runAction(agent, asking({ memory_kb: "65536" }, "kill -KILL $$"));
    expect(killed).toMatchObject({ exitCode: 137, stderr: "" });
    expect(logOf(agent, killed)).toMatch(/as of SIGKILL$/m);
  });

  it("may ask for any amount that is a number", async () => {
    const agent = await startDelegatedAgent();
    for (const memory_kb of ["65536.001", "1e12", "1e300"]) {
      expect(await runAction(agent, asking({ memory_kb, cpu_count: memory_kb }, "true"))).toMatchObject({
        exitCode: 0,
      });
    }
  });

  it("gets no more CPU time than it asks for", async () => {
    const agent = await startDelegatedAgent();
    const script = `${OWN_GROUP}; until grep -q '^nr_throttled [1-9]' $group/cpu.stat; do :; done; cat $group/cpu.max`;
    const { stdout } = await runAction(agent, asking({ cpu_count: "0.5" }, script));
    expect(stdout).toBe("50000 100000\n");
  });

  it("that asks for no memory is killed whole when the machine has none, and told so", async () => {
    const agent = await startDelegatedAgent(["MemoryMax=400M", "MemorySwapMax=0"]);
    const ran = await runAction(agent, asking({}, USE_MEMORY));
    expect(ran).toMatchObject({ outcome: "COMPLETED", exitCode: 137, stdout: "" });
    expect(ran.stderr).toContain("remex: /bin/sh: killed: the machine had no memory left. Its action asks for none");
    expect(logOf(agent, ran)).toMatch(/killed since the machine had no memory left$/m);
    const spared = await runAction(agent, asking({ memory_kb: "900000" }, USE_MEMORY));
    expect(spared.outcome).toBe("INFRASTRUCTURE_FAILURE");
    expect(spared.message).toContain("the machine had no memory left");
  });

  it("leaves no group when the process that started it is killed", async () => {
    const agent = await startDelegatedAgent();
    const { stdout } = await runAction(agent, asking({}, `${OWN_GROUP}; echo $group`));
    // The parent of a command is the runner process.
    expect((await runAction(agent, asking({}, "kill -KILL $PPID; sleep 300"))).outcome).toBe("INFRASTRUCTURE_FAILURE");
    const groups = join(stdout.trim(), "..");
    await vi.waitFor(async () => {
      const entries = await readdir(groups, { withFileTypes: true });
      expect(entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)).toEqual(["agent"]);
    }, 10_000);
  });
});
