import { execFileSync } from "node:child_process";
import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import { Sandbox, SandboxError } from "../../worker-agents/sandbox.ts";
import { withheldIn } from "../../worker-agents/sandbox-secrets.ts";
import { lackingForSandbox } from "./lacking.ts";
import { waitUntilGone } from "./processes.ts";
import { shell } from "./leases.ts";
import { runAction } from "./run-action.ts";
import { SILENT, startAgent, temporaryDirectory } from "./running-agent.ts";

describe.skipIf(lackingForSandbox !== undefined)("an action in a sandbox", () => {
  it("sees its inputs and the toolchain, and can write nowhere but among its inputs and to a /tmp of its own", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    const { exitCode, stdout, stderr, result } = await runAction(agent, {
      inputs: { "in/file": "content" },
      command: shell(
        `cat file; pwd; ls -A /tmp; ls /; echo t > /tmp/t && cat /tmp/t; echo out > out
        touch /x /usr/x /etc/x 2>/dev/null && echo wrote; ls ${agent.workDirectory} 2>/dev/null; true`,
        { workingDirectory: "in", outputPaths: ["out"] },
      ),
    });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const lines = stdout.split("\n");
    expect(lines.slice(0, 2)).toEqual(["content/action/in", "action"]);
    expect(lines.slice(2)).toEqual(expect.arrayContaining(["bin", "dev", "etc", "proc", "tmp", "usr", "t"]));
    for (const absent of ["root", "home", "var", "work", "wrote", "cache"]) expect(lines).not.toContain(absent);
    expect(result.actionResult?.outputFiles.map(({ path }) => path)).toEqual(["out"]);
  });

  it("is not root, has no capabilities, and can't read what only root may", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    const { stdout } = await runAction(agent, {
      command: shell(
        "id -u; grep CapEff /proc/self/status; cat /etc/shadow 2>/dev/null; mount -t tmpfs t /mnt 2>/dev/null; echo end",
      ),
    });
    expect(stdout).toBe("65534\nCapEff:\t0000000000000000\nend\n");
  });

  it("can't change the cached inputs that are linked into place", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    const inputs = { file: "original" };
    const script = "stat -c %h file; echo changed 2>/dev/null > file || echo refused";
    expect((await runAction(agent, { inputs, command: shell(script) })).stdout).toBe("2\nrefused\n");
    // Its owner may take the protection away: then the file is known to have changed, and is fetched again.
    await runAction(agent, { inputs, command: shell("chmod u+w file; echo changed > file") });
    expect((await runAction(agent, { inputs, command: shell("cat file") })).stdout).toBe("original");
  });

  it("sees no other processes, and none of its own survive it", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    // The only process outside that has this number among its arguments is the action's.
    const seconds = `30${process.pid}`;
    const { exitCode, stdout } = await runAction(agent, {
      command: shell(`(setsid env -i sh -c 'cd /; exec sleep ${seconds} <&- >&- 2>&-' &); ls -d /proc/[0-9]* | wc -l`),
    });
    expect(exitCode).toBe(0);
    expect(Number(stdout)).toBeLessThan(10);
    for (const pid of pidsOf(seconds)) await waitUntilGone(pid);
  });

  it("is killed whole at its time limit", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    const seconds = `31${process.pid}`;
    const ran = await runAction(agent, { command: shell(`setsid sleep ${seconds}`), timeoutMs: 500 });
    expect(ran.outcome).toBe("TIMED_OUT");
    for (const pid of pidsOf(seconds)) await waitUntilGone(pid);
  });

  it("has the network only if it asks for it and the machine offers it", async () => {
    const server = createServer((socket) => socket.end("reached"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const address: AddressInfo | string | null = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const command = {
      arguments: ["/bin/bash", "-c", `cat < /dev/tcp/127.0.0.1/${port ?? 0}`],
      environmentVariables: [{ name: "PATH", value: "/usr/bin:/bin" }],
    };
    const property = { name: "network", value: "allow" };
    const asking = { ...command, platform: { properties: [property] } };
    const [closed, open] = [
      await startAgent({ sandbox: "bwrap" }),
      await startAgent({ sandbox: "bwrap", properties: [property] }),
    ];
    expect((await runAction(open, { command: asking })).stdout).toBe("reached");
    expect((await runAction(open, { command })).stdout).toBe("");
    expect((await runAction(closed, { command: asking })).stdout).toBe("");
  });

  it("ends as it does outside: exit codes, signals, programs that are not there or can't be run", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    expect(await runAction(agent, { command: shell("echo bad >&2; exit 1") })).toMatchObject({
      exitCode: 1,
      stderr: "bad\n",
    });
    expect(await runAction(agent, { command: shell("kill -SEGV $$") })).toMatchObject({ exitCode: 128 + 11 });
    expect(await runAction(agent, { command: { arguments: ["no-such-program"] } })).toMatchObject({ exitCode: 127 });
    const data = await runAction(agent, { inputs: { data: "no program" }, command: { arguments: ["./data"] } });
    expect(data).toMatchObject({ outcome: "COMPLETED", exitCode: 126 });
  });

  it("is the machine's failure if the sandbox can't be made", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    const ran = await runAction(agent, { command: shell("echo 'bwrap: Can not mount' >&2; exit 1") });
    expect(ran).toMatchObject({
      outcome: "INFRASTRUCTURE_FAILURE",
      message: "running the command: bwrap: Can not mount",
    });
  });

  it("can't read the agent's token, however it is reached, while it is renewed, and when it is gone", async () => {
    const settings = await temporaryDirectory();
    const [token, link] = [join(settings, "agent.token"), `${settings}-link`];
    await writeFile(token, "a-secret", { mode: 0o600 });
    await writeFile(join(settings, "other"), "seen ");
    await symlink(settings, link);
    onTestFinished(() => rm(link));
    const agent = await startAgent({
      sandbox: "bwrap",
      sandboxPaths: ["/usr", "/bin", "/lib", "/lib64", settings, link],
      secretPaths: [join(link, "agent.token")],
    });
    const read = async () => {
      const command = shell(`for each in ${settings} ${link}; do cat $each/other $each/agent.token; done; true`);
      const { outcome, stdout } = await runAction(agent, { command });
      return [outcome, stdout];
    };
    expect(await read()).toEqual(["COMPLETED", "seen seen "]);
    await writeFile(`${token}.new`, "another-secret", { mode: 0o600 });
    await rename(`${token}.new`, token);
    expect(await read()).toEqual(["COMPLETED", "seen seen "]);
    await rm(token);
    expect(await read()).toEqual(["COMPLETED", "seen seen "]);
  });

  it("can't read a secret in a directory that is hidden itself, as an SSH server's keys for an agent that is root", async () => {
    const settings = await temporaryDirectory();
    const keys = join(settings, "keys");
    await mkdir(keys);
    await writeFile(join(keys, "key"), "a-secret", { mode: 0o600 });
    for (const secretPaths of [
      [keys, join(keys, "key")],
      [join(keys, "key"), keys],
    ]) {
      const agent = await startAgent({
        sandbox: "bwrap",
        sandboxPaths: ["/usr", "/bin", "/lib", "/lib64", settings],
        secretPaths,
      });
      const { outcome, stdout } = await runAction(agent, { command: shell(`ls ${settings}; ls ${keys}; echo end`) });
      expect([outcome, stdout]).toEqual(["COMPLETED", "keys\nend\n"]);
    }
  });

  it("can read nothing below /etc that not everybody may, though the agent be root", async () => {
    const agent = await startAgent({ sandbox: "bwrap" });
    const { stdout } = await runAction(agent, {
      command: shell("find /etc -mindepth 1 '(' -type f -o -type d ')' -readable ! -perm -o=r; echo end"),
    });
    expect(stdout).toBe("end\n");
  });

  it("sees further paths that are named, and only in those", async () => {
    const tools = await temporaryDirectory();
    await writeFile(join(tools, "tool"), "here");
    const script = `cat ${tools}/tool; touch ${tools}/x 2>/dev/null && echo wrote`;
    const agent = await startAgent({
      sandbox: "bwrap",
      sandboxPaths: ["/usr", "/bin", "/lib", "/lib64", tools, "/absent"],
    });
    expect((await runAction(agent, { command: shell(script) })).stdout).toBe("here");
  });
});

it.runIf(lackingForSandbox === undefined)(
  "a sandbox that was asked for and can't be had is an error, and with auto there is none",
  async () => {
    const scratch = join(await temporaryDirectory(), "scratch");
    // Without a C library nothing runs.
    const refused = Sandbox.open("bwrap", { paths: ["/etc"] }, scratch, SILENT);
    await expect(refused).rejects.toThrow(SandboxError);
    // What bubblewrap says, and not how it was called.
    await expect(refused).rejects.toThrow(/^\S+ can't make a sandbox here: bwrap: /);
    expect(await Sandbox.open("auto", { paths: ["/etc"] }, scratch, SILENT)).toBeUndefined();
    expect(await Sandbox.open("none", { paths: ["/usr"] }, scratch, SILENT)).toBeUndefined();
  },
);

it("what not everybody may read is found, with what a closed directory has, but for what is named", async () => {
  const etc = await temporaryDirectory();
  const make = async (name: string, mode: number) => {
    await writeFile(join(etc, name), "");
    await chmod(join(etc, name), mode);
  };
  for (const name of ["sudoers.d", "open", "closed", "named"]) await mkdir(join(etc, name));
  await make("passwd", 0o644);
  await make("sudoers", 0o440);
  await make("sudoers.d/admins", 0o440);
  await make("open/http.keytab", 0o600);
  await make("open/executable", 0o755);
  await make("closed/readable", 0o644);
  await make("named/tool", 0o644);
  await make("named/key", 0o600);
  await symlink("sudoers", join(etc, "link"));
  await symlink(etc, join(etc, "loop"));
  for (const name of ["closed", "named"]) await chmod(join(etc, name), 0o700);

  const { paths, unread } = await withheldIn(etc, ["/usr", join(etc, "named")]);
  expect(unread).toBeUndefined();
  const expected = ["closed", "named/key", "open/http.keytab", "sudoers", "sudoers.d/admins"];
  expect([...paths].sort()).toEqual(expected.map((name) => join(etc, name)));
  expect(await withheldIn(join(etc, "absent"), [])).toMatchObject({ paths: [], unread: undefined });
});

it("each command is given to the entrypoint, with what the machine adds to its environment", async () => {
  const entrypoint = join(await temporaryDirectory(), "entrypoint");
  await writeFile(entrypoint, '#!/bin/sh\necho "wrapped $ADDED $OWN"\nexec "$@"\n', { mode: 0o755 });
  const agent = await startAgent({ entrypoint, additionalEnvironment: { ADDED: "by agent", OWN: "lost" } });
  const command = { arguments: ["/bin/echo", "a b"], environmentVariables: [{ name: "OWN", value: "declared" }] };
  expect((await runAction(agent, { command })).stdout).toBe("wrapped by agent declared\na b\n");
});

function pidsOf(argument: string): number[] {
  try {
    return execFileSync("pgrep", ["-f", `^sleep ${argument}`], { encoding: "utf8" })
      .trim()
      .split("\n")
      .map(Number);
  } catch {
    return [];
  }
}
