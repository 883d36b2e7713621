import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { CommandRun } from "../../../worker-agents/runner/messages.ts";
import { Runner, RunnerError } from "../../../worker-agents/runner/runner.ts";
import { gate } from "../gate.ts";
import { waitUntilGone } from "../processes.ts";
import { temporaryDirectory } from "../running-agent.ts";

const never = new AbortController().signal;

function startRunner(): Runner {
  const runner = new Runner();
  onTestFinished(() => {
    runner.close();
  });
  return runner;
}

async function shell(script: string): Promise<CommandRun> {
  const directory = await temporaryDirectory();
  return {
    arguments: ["/bin/sh", "-c", script],
    environment: { PATH: "/usr/bin:/bin" },
    workingDirectory: directory,
    ownDirectory: directory,
    stdoutPath: join(directory, "stdout"),
    stderrPath: join(directory, "stderr"),
    timeoutMs: 60_000,
    maxStdioBytes: 1_000_000,
  };
}

/** A script that writes its process id to a pipe with a name, then waits for ever; and the reader of that pipe. */
async function lastingScript(): Promise<{ readonly script: string; readonly pid: () => Promise<number> }> {
  const { path } = await gate();
  return {
    script: `sleep 300 & echo $! > ${path}; wait`,
    pid: async () => Number(await readFile(path, "utf8")),
  };
}

describe("the runner", () => {
  it("runs many commands at once, each to its own end", async () => {
    const runner = startRunner();
    const ends = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => runner.run(await shell(`echo ${i}; exit ${i}`), never)),
    );
    expect(ends.map(({ exitCode }) => exitCode)).toEqual([...Array(20).keys()]);
    expect(ends.map(({ stdoutBytes }) => stdoutBytes)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}\n`.length));
  });

  it("kills a command when its signal aborts, and says so when it has gone", async () => {
    const runner = startRunner();
    const { script, pid } = await lastingScript();
    const stop = new AbortController();
    const run = runner.run(await shell(script), stop.signal);
    const started = await pid();
    stop.abort(new Error("not wanted"));
    await expect(run).rejects.toThrow("not wanted");
    await waitUntilGone(started);
  });

  it("leaves no command running when the agent goes", async () => {
    const runner = startRunner();
    const { script, pid } = await lastingScript();
    const run = runner.run(await shell(script), never);
    const started = await pid();
    runner.close();
    await expect(run).rejects.toThrow(RunnerError);
    await waitUntilGone(started);
  });

  it("is started again after it was lost, and what ran is failed", async () => {
    const runner = startRunner();
    const { path } = await gate();
    // The parent of a command is the runner.
    const lost = runner.run(await shell(`echo $PPID > ${path}; sleep 300`), never);
    process.kill(Number(await readFile(path, "utf8")), "SIGKILL");
    await expect(lost).rejects.toThrow("the runner process ended (SIGKILL)");
    expect(await runner.run(await shell("exit 4"), never)).toMatchObject({ exitCode: 4 });
  });

  it("is given up when it is stuck, with what it ran", async () => {
    const runner = new Runner(undefined, 1);
    onTestFinished(() => {
      runner.close();
    });
    const { path } = await gate();
    const command = await shell(`echo $PPID $$ > ${path}; sleep 300`);
    const stuck = runner.run({ ...command, timeoutMs: 2_000 }, never);
    const [runnerPid, pid] = (await readFile(path, "utf8")).split(" ").map(Number);
    process.kill(runnerPid ?? 0, "SIGSTOP");
    await expect(stuck).rejects.toThrow("the runner process ended (SIGKILL)");
    await waitUntilGone(pid ?? 0);
  });

  it("does not die of the signals that are meant for the agent", async () => {
    const runner = startRunner();
    const script = "kill -TERM $PPID; kill -INT $PPID; kill -HUP $PPID; sleep 0.05; echo still";
    expect(await runner.run(await shell(script), never)).toMatchObject({ exitCode: 0, stdoutBytes: 6 });
    expect(await runner.run(await shell("exit 0"), never)).toMatchObject({ exitCode: 0 });
  });

  it("fails a command for which it can't even open the files", async () => {
    const runner = startRunner();
    const command = await shell("true");
    await mkdir(command.stderrPath);
    await expect(runner.run(command, never)).rejects.toThrow(/EEXIST|EISDIR/);
  });

  it("keeps the file of a stream only if something was written", async () => {
    const runner = startRunner();
    const command = await shell("echo to stderr >&2");
    expect(await runner.run(command, never)).toMatchObject({ stdoutBytes: 0, stderrBytes: 10 });
    await expect(readFile(command.stdoutPath)).rejects.toThrow("ENOENT");
    expect(await readFile(command.stderrPath, "utf8")).toBe("to stderr\n");
  });
});
