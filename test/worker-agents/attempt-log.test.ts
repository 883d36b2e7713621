import { describe, expect, it } from "vitest";
import { shell, type ActionSpec } from "./leases.ts";
import { work } from "./persistent-workers/tool.ts";
import { runAction } from "./run-action.ts";
import { startAgent, type RunningAgent } from "./running-agent.ts";

/** What the agent says of the action beside its result; undefined if nothing. */
async function logOf(agent: RunningAgent, spec: ActionSpec): Promise<string | undefined> {
  const { result } = await runAction(agent, spec);
  const { agent: log, ...others } = result.serverLogs;
  expect(others).toEqual({});
  if (log?.digest === undefined) return undefined;
  expect(log.humanReadable).toBe(true);
  return agent.peer.cas.get(log.digest).toString();
}

describe("the log of an attempt", () => {
  it("tells of a command that failed where and how it ran, and not what the machine keeps secret", async () => {
    const agent = await startAgent({ additionalEnvironment: { TOKEN: "s3cret" }, limits: { maxStdioBytes: 5000 } });
    const platform = { properties: [{ name: "cpu_count", value: "2" }] };
    const text = await logOf(agent, { command: shell("exit 3", { platform, workingDirectory: "" }), timeoutMs: 7000 });
    expect(text).toMatch(/^agent: test-agent, /);
    expect(text).toMatch(/^attempt: 1, /m);
    expect(text).toMatch(/^sandbox: none, /m);
    expect(text).toMatch(/^limits: 7 s, 5000 bytes of output, 2 CPUs \(asked for, but /m);
    expect(text).toMatch(/^environment: beside what it declares, the machine's TOKEN$/m);
    expect(text).toMatch(/^inputs: set up in [\d.]+ s$/m);
    expect(text).toMatch(/^command: ran for [\d.]+ s, exit code 3$/m);
    expect(text).not.toContain("s3cret");
  });

  it("names the signal that ended a command, and the time limit", async () => {
    const agent = await startAgent();
    expect(await logOf(agent, { command: shell("kill -KILL $$") })).toContain(
      "exit code 137, as of SIGKILL; the machine",
    );
    expect(await logOf(agent, { command: shell("kill -SEGV $$") })).toContain("exit code 139, as of SIGSEGV\n");
    expect(await logOf(agent, { command: shell("exit 255") })).toContain("exit code 255\n");
    expect(await logOf(agent, { command: shell("sleep 300"), timeoutMs: 100 })).toContain("killed at its time limit\n");
  });

  it("says that a persistent worker had done it, or why it had not", async () => {
    const agent = await startAgent();
    expect(await logOf(agent, work(["fail"]))).toMatch(
      /^command: done by a persistent worker for [\d.]+ s, exit code 3$/m,
    );
    const alone = await logOf(agent, work(["crash", "4"]));
    expect(alone).toMatch(/^command run by itself, since the persistent worker failed: .*stderr: out of luck/m);
    expect(alone).toMatch(/^command: ran for [\d.]+ s, exit code 4$/m);
  });

  it("is not written where all went well", async () => {
    expect(await logOf(await startAgent(), { command: shell("true") })).toBeUndefined();
  });
});
