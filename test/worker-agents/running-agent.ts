import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { Hello } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { AgentOptions } from "../../worker-agents/agent-options.ts";
import { runAgent } from "../../worker-agents/agent.ts";
import { AgentPeer, type AgentConnection } from "./agent-peer.ts";

export const SILENT = pino({ level: "silent" });

/** A directory that goes when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), "remex-agent-")));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

export async function startPeer(): Promise<AgentPeer> {
  const peer = await AgentPeer.start();
  onTestFinished(() => peer.close());
  return peer;
}

export interface RunningAgent {
  readonly peer: AgentPeer;
  readonly connection: AgentConnection;
  readonly hello: Hello;
  readonly workDirectory: string;
  /** Settles when the agent has stopped. */
  readonly stopped: Promise<void>;
  /** Tells it to drain. */
  readonly drain: () => void;
  readonly kill: () => void;
}

/** Starts the real agent against a peer of its own, and has it welcomed. It is killed when the test ends. */
export async function startAgent(overrides: Partial<AgentOptions> = {}, peer?: AgentPeer): Promise<RunningAgent> {
  const endpoint = peer ?? (await startPeer());
  const workDirectory = overrides.workDirectory ?? (await temporaryDirectory());
  const drain = new AbortController();
  const kill = new AbortController();
  const stopped = runAgent(
    {
      endpoint: endpoint.endpoint,
      instanceName: "main",
      name: "test-agent",
      version: "0",
      workDirectory,
      // Whatever the number of CPUs.
      maxActions: 8,
      logger: SILENT,
      killSignal: kill.signal,
      ...overrides,
      limits: {
        progressDelayMs: 0,
        reconnect: { baseMs: 1, maxMs: 5 },
        callRetries: { attempts: 4, baseMs: 1, maxMs: 2 },
        ...overrides.limits,
      },
    },
    drain.signal,
  );
  onTestFinished(async () => {
    kill.abort();
    await stopped;
  });
  return {
    peer: endpoint,
    ...(await endpoint.welcomed()),
    workDirectory,
    stopped,
    drain: () => {
      drain.abort();
    },
    kill: () => {
      kill.abort();
    },
  };
}
