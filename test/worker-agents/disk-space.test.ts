import { execFileSync } from "node:child_process";
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { systemErrorCode } from "../../worker-agents/system-error.ts";
import { shell } from "./leases.ts";
import { runAction } from "./run-action.ts";
import { startAgent, temporaryDirectory, type RunningAgent } from "./running-agent.ts";

const logLine = z.object({ level: z.number(), msg: z.string() });

const MEBIBYTE = 1024 * 1024;

const mountable = canMount();
if (!mountable) console.warn("SKIPPING TESTS: a full disk, which needs root on Linux to mount a small one");

function canMount(): boolean {
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

interface SmallDisk {
  readonly agent: RunningAgent;
  readonly directory: string;
  /** What the agent logged as information or worse, by level. */
  readonly logged: { readonly level: number; readonly msg: string }[];
}

/** An agent that works on a disk of 8 MiB, and wants 1 MiB of it free. */
async function startOnSmallDisk(prepare: (directory: string) => Promise<void> = async () => {}): Promise<SmallDisk> {
  const directory = await temporaryDirectory();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", directory]);
  onTestFinished(() => {
    execFileSync("umount", ["--lazy", directory]);
  });
  await prepare(directory);
  const logged: z.infer<typeof logLine>[] = [];
  const logger = pino({ level: "info" }, { write: (line: string) => logged.push(logLine.parse(JSON.parse(line))) });
  const agent = await startAgent({
    workDirectory: join(directory, "work"),
    logger,
    limits: { minFreeBytes: MEBIBYTE, diskCheckIntervalMs: 20 },
  });
  return { agent, directory, logged };
}

/** Leaves no byte free. */
async function fill(directory: string): Promise<string> {
  const path = join(directory, "ballast");
  await writeFile(path, new Uint8Array(9 * MEBIBYTE)).catch((error: unknown) => {
    expect(systemErrorCode(error)).toBe("ENOSPC");
  });
  return path;
}

describe.skipIf(!mountable)(
  "a full disk is the machine's failure, and the agent takes no action until there is room",
  () => {
    it("when inputs can't be laid out", async () => {
      const { agent, directory, logged } = await startOnSmallDisk();
      const { peer, connection } = agent;
      const ballast = await fill(directory);
      const spec = { inputs: { file: "x".repeat(100_000) }, command: shell("wc -c < file") };
      const ran = await runAction(agent, spec);
      expect(ran.outcome).toMatch(/^INFRASTRUCTURE_FAILURE|HANDED_BACK$/);
      expect(ran.message).toContain("the agent's disk is full");
      await connection.drain();
      expect(await runAction(agent, spec)).toMatchObject({
        outcome: "HANDED_BACK",
        message: "the agent's disk is full",
      });
      await rm(ballast);
      const again = await peer.welcomed();
      expect(again.hello.draining).toBe(false);
      expect(await runAction({ ...agent, ...again }, spec)).toMatchObject({ exitCode: 0, stdout: "100000\n" });
      expect(logged.filter(({ level }) => level >= 50).map(({ msg }) => msg)).toContain(
        "the disk of the work directory is full: no new action until there is room again",
      );
      expect(logged.filter(({ msg }) => msg.startsWith("the disk of the work directory is full"))).toHaveLength(1);
    });

    it("when a command fails for it, which may be why", async () => {
      const { agent } = await startOnSmallDisk();
      const ran = await runAction(agent, { command: shell("head -c 9000000 /dev/zero > big") });
      expect(ran).toMatchObject({ outcome: "INFRASTRUCTURE_FAILURE" });
      expect(ran.message).toMatch(/^running the command: the agent's disk is full/);
      await agent.connection.drain();
      // What the action wrote has been removed.
      const again = await agent.peer.welcomed();
      expect(again.hello.draining).toBe(false);
      expect(await runAction({ ...agent, ...again }, { command: shell("exit 3") })).toMatchObject({ exitCode: 3 });
    });

    it("when outputs can't be taken", async () => {
      const { agent } = await startOnSmallDisk();
      const command = shell("head -c 5000000 /dev/urandom > big", { outputPaths: ["big"] });
      const ran = await runAction(agent, { command });
      expect(ran).toMatchObject({ outcome: "INFRASTRUCTURE_FAILURE" });
      expect(ran.message).toMatch(/^storing the outputs: the agent's disk is full/);
      await agent.connection.drain();
    });

    it("from the beginning, if it is full then", async () => {
      let ballast = "";
      const { agent } = await startOnSmallDisk(async (directory) => {
        ballast = await fill(directory);
        // Room for directories, in whole pages.
        execFileSync("truncate", ["-s", "-500K", ballast]);
      });
      expect(agent.hello.draining).toBe(true);
      await rm(ballast);
      expect((await agent.peer.welcomed()).hello.draining).toBe(false);
    });

    it("unless giving up cached inputs makes room", async () => {
      const { agent, directory, logged } = await startOnSmallDisk();
      const spec = { inputs: { file: "x".repeat(3_000_000) }, command: shell("true") };
      expect(await runAction(agent, spec)).toMatchObject({ exitCode: 0 });
      await vi.waitFor(async () => {
        expect(await readdir(join(directory, "work", "attempts"))).toEqual([]);
      }, 20_000);
      await writeFile(join(directory, "ballast"), new Uint8Array(4_900_000));
      await vi.waitFor(async () => {
        expect(await readdir(join(directory, "work", "cache"), { recursive: true })).not.toContainEqual(
          expect.stringContaining("-3000000"),
        );
      }, 20_000);
      expect(await runAction(agent, { command: shell("true") })).toMatchObject({ exitCode: 0 });
      expect(logged.filter(({ level }) => level >= 50)).toEqual([]);
    });
  },
);
