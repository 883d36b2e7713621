import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { AgentPeer, AgentConnection } from "./agent-peer.ts";
import { startPeer, temporaryDirectory } from "./running-agent.ts";

const REMEX = fileURLToPath(new URL("../../cli/remex.ts", import.meta.url));

/** A program in a scope of systemd, with a control group of its own. It is the process itself, not a child of it. */
function inScope(properties: readonly string[], program: readonly string[]): readonly string[] {
  const whose = process.getuid?.() === 0 ? [] : ["--user"];
  const own = ["Delegate=yes", ...properties].map((property) => `--property=${property}`);
  return ["systemd-run", ...whose, "--scope", "--quiet", "--collect", ...own, ...program];
}

/** Why no agent can have a control group here in which it bounds memory and CPUs; undefined if one can. */
export const lackingForBounds = whatIsLacking();

if (lackingForBounds !== undefined) {
  console.warn(`SKIPPING TESTS: bounds of memory and CPUs by control groups of version 2: ${lackingForBounds}`);
}

function whatIsLacking(): string | undefined {
  const script = 'cat "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/cgroup.controllers"';
  const [program = "", ...args] = inScope([], ["sh", "-c", script]);
  let controllers: string;
  try {
    controllers = execFileSync(program, args, { stdio: "pipe", encoding: "utf8" }).trim();
  } catch (error) {
    return error instanceof Error ? error.message.trim() : String(error);
  }
  const absent = ["memory", "cpu"].filter((name) => !controllers.split(" ").includes(name));
  return absent.length === 0 ? undefined : `systemd gives no controller for ${absent.join(" and ")}`;
}

export interface DelegatedAgent {
  readonly peer: AgentPeer;
  readonly connection: AgentConnection;
}

/**
 * Starts `remex agent` as a service would: a process with a control group that it has to itself, which this one, with
 * vitest beside it, has not. It is killed when the test ends.
 * @param properties of systemd, for the group
 */
export async function startDelegatedAgent(properties: readonly string[] = []): Promise<DelegatedAgent> {
  const peer = await startPeer();
  const work = await temporaryDirectory();
  const node = [process.execPath, "--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
  const flags = ["--endpoint", peer.endpoint.href, "--work-dir", work, "--sandbox", "none", "--log-level", "fatal"];
  const [program = "", ...args] = inScope(properties, [...node, REMEX, "agent", ...flags]);
  const agent = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(agent, "exit");
  onTestFinished(async () => {
    agent.kill("SIGKILL");
    await exited;
  });
  const early = exited.then((how) => {
    throw new Error(`the agent ended before it was welcomed: ${how.join(" ")}`);
  });
  const { connection } = await Promise.race([peer.welcomed(), early]);
  return { peer, connection };
}
