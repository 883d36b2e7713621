import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { LeaseProgress_Phase, LeaseResult_Outcome } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { executable } from "./input-tree.ts";
import { leaseOf, shell } from "./leases.ts";
import { waitUntilGone } from "./processes.ts";
import { runAction } from "./run-action.ts";
import { startAgent } from "./running-agent.ts";

describe("a command", () => {
  it("has its exit code, its streams and its times reported", async () => {
    const agent = await startAgent();
    const { result, ...ran } = await runAction(agent, { command: shell("echo out; echo err >&2") });
    expect(ran).toEqual({ outcome: "COMPLETED", exitCode: 0, stdout: "out\n", stderr: "err\n", message: "" });
    const metadata = result.actionResult?.executionMetadata;
    expect(metadata?.worker).toBe("test-agent");
    const times = [
      metadata?.workerStartTimestamp,
      metadata?.inputFetchStartTimestamp,
      metadata?.inputFetchCompletedTimestamp,
      metadata?.executionStartTimestamp,
      metadata?.executionCompletedTimestamp,
      metadata?.outputUploadStartTimestamp,
      metadata?.outputUploadCompletedTimestamp,
      metadata?.workerCompletedTimestamp,
    ].map((time) => time && timestampMs(time));
    expect(times).not.toContain(undefined);
    expect(times).toEqual([...times].sort());
    expect(metadata?.virtualExecutionDuration).toBeDefined();
  });

  it("that fails is a result, not an error", async () => {
    const agent = await startAgent();
    expect(await runAction(agent, { command: shell("exit 3") })).toMatchObject({ outcome: "COMPLETED", exitCode: 3 });
  });

  it("that dies of a signal has the exit code that a shell gives it", async () => {
    const agent = await startAgent();
    expect(await runAction(agent, { command: shell("kill -SEGV $$") })).toMatchObject({ exitCode: 128 + 11 });
  });

  it("sees its declared environment and nothing else", async () => {
    const agent = await startAgent();
    const { stdout } = await runAction(agent, {
      command: { arguments: ["/usr/bin/env"], environmentVariables: [{ name: "ONLY", value: "this=one" }] },
    });
    expect(stdout).toBe("ONLY=this=one\n");
  });

  it("is looked up in its own PATH if it is a bare name, and from its working directory if it is a path", async () => {
    const agent = await startAgent();
    const inputs = {
      "tools/greet": executable("#!/bin/sh\necho from PATH"),
      "sub/greet": executable("#!/bin/sh\necho from $(basename $(pwd))"),
    };
    const environmentVariables = [{ name: "PATH", value: "tools:/usr/bin:/bin" }];
    const bare = await runAction(agent, { inputs, command: { arguments: ["greet"], environmentVariables } });
    expect(bare.stdout).toBe("from PATH\n");
    const path = await runAction(agent, {
      inputs,
      command: { arguments: ["./greet"], environmentVariables, workingDirectory: "sub" },
    });
    expect(path.stdout).toBe("from sub\n");
  });

  it("that does not exist ends with 127, and one that can't be run with 126, and both say why", async () => {
    const agent = await startAgent();
    const absent = await runAction(agent, { command: { arguments: ["no-such-program"] } });
    expect(absent).toMatchObject({ outcome: "COMPLETED", exitCode: 127 });
    expect(absent.stderr).toContain("no-such-program: no such program");
    const plain = await runAction(agent, { inputs: { data: "no program" }, command: { arguments: ["./data"] } });
    expect(plain).toMatchObject({ outcome: "COMPLETED", exitCode: 126 });
    expect(plain.stderr).toContain("./data: permission denied");
    const long = await runAction(agent, { command: { arguments: ["/bin/echo", "x".repeat(3_000_000)] } });
    expect(long).toMatchObject({ outcome: "COMPLETED", exitCode: 126 });
    expect(long.stderr).toContain("too long");
  });

  it.each([
    [{ arguments: [] }, "the command has no program"],
    [{ arguments: ["/bin/echo", "a\0b"] }, "arguments[1] has a NUL"],
    [{ arguments: ["/bin/echo"], environmentVariables: [{ name: "A=B", value: "" }] }, 'variable "A=B"'],
    [{ arguments: ["/bin/echo"], workingDirectory: "../up" }, 'working_directory "../up" leads out'],
    [{ arguments: ["/bin/echo"], outputPaths: ["a/../../b"] }, 'output_paths "a/../../b" leads out'],
    [{ arguments: ["/bin/echo"], outputFiles: ["/etc/passwd"] }, 'output_files "/etc/passwd" is absolute'],
  ])("that can't be meant is refused: %j", async (command, message) => {
    const agent = await startAgent();
    const { outcome, result } = await runAction(agent, { command });
    expect(outcome).toBe("REFUSED");
    expect(result.status?.code).toBe(Code.InvalidArgument);
    expect(result.status?.message).toContain(message);
  });

  it("is killed at its time limit with all that it started, and what it wrote is kept", async () => {
    const agent = await startAgent();
    const { result, outcome, stdout, message } = await runAction(agent, {
      command: shell("sh -c 'sleep 300 & echo $!; wait' & echo done > out; wait", { outputPaths: ["out"] }),
      timeoutMs: 300,
    });
    expect(outcome).toBe("TIMED_OUT");
    expect(result.status?.code).toBe(Code.DeadlineExceeded);
    expect(message).toContain("0.3 s");
    await waitUntilGone(Number(stdout));
    expect(result.actionResult?.outputFiles).toHaveLength(1);
    expect(result.actionResult?.executionMetadata?.executionCompletedTimestamp).toBeDefined();
  });

  it("leaves nothing running behind, and is not waited for by what holds its streams open", async () => {
    const agent = await startAgent();
    const { exitCode, stdout } = await runAction(agent, { command: shell("sleep 300 & echo $!") });
    expect(exitCode).toBe(0);
    await waitUntilGone(Number(stdout));
  });

  it.runIf(process.platform === "linux")(
    "leaves nothing running behind that forked twice, in a session of its own and with its streams closed",
    async () => {
      const agent = await startAgent();
      const daemon =
        "(setsid sh -c '(sleep 300 & echo $! > strays/two; cd /; exec sleep 301) & echo $! > strays/one' &)";
      const { exitCode, stdout } = await runAction(agent, {
        inputs: { "strays/": "" },
        command: shell(`${daemon} > /dev/null 2>&1 < /dev/null
          until [ -s strays/one ] && [ -s strays/two ]; do sleep 0.01; done; cat strays/*`),
      });
      expect(exitCode).toBe(0);
      const pids = stdout.trim().split("\n").map(Number);
      expect(pids).toHaveLength(2);
      await Promise.all(pids.map(waitUntilGone));
    },
  );

  it("is killed when its lease is cancelled, and that is its outcome", async () => {
    const { peer, connection } = await startAgent();
    const lease = leaseOf(peer, { command: shell("sleep 300") });
    connection.lease(lease);
    await connection.progress(LeaseProgress_Phase.EXECUTING);
    connection.send({ case: "cancel", value: { leaseId: lease.leaseId, reason: "nobody waits" } });
    const { outcome, status, leaseId } = await connection.result();
    expect({ outcome, leaseId }).toEqual({ outcome: LeaseResult_Outcome.CANCELLED, leaseId: lease.leaseId });
    expect(status?.message).toContain("nobody waits");
  });

  it("may write much: it is all there, and beyond the limit it is killed and cut off", async () => {
    const agent = await startAgent({ limits: { maxStdioBytes: 3_000_000 } });
    const within = await runAction(agent, { command: shell("head -c 2500000 /dev/zero; echo end") });
    expect(within.exitCode).toBe(0);
    expect(within.stdout).toHaveLength(2_500_004);
    const beyond = await runAction(agent, { command: shell("cat /dev/zero") });
    expect(beyond).toMatchObject({ outcome: "COMPLETED", exitCode: 153 });
    expect(beyond.stdout).toHaveLength(3_000_000);
    expect(beyond.stderr).toContain("stdout is longer than 3000000 bytes");
  });
});
