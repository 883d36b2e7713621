import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import {
  Capabilities,
  DigestFunction_Value,
  type ServerCapabilities,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { parseConfig } from "../../src/config/config.ts";
import { type Caller, callUnary } from "../calls/caller.ts";
import { createConnectCaller } from "../calls/connect-caller.ts";
import { createGrpcCaller, type GrpcTarget } from "../calls/grpc-caller.ts";
import { BlobSource } from "../fixtures/blobs.ts";
import { codeName } from "../load/closed-loop.ts";
import { benchConfig } from "../remex/bench-config.ts";
import { type LocalRemex, startLocalRemex } from "../remex/local-remex.ts";
import type { Scenario, ScaleName } from "../scenarios/scenario.ts";
import type { Baseline } from "../baselines/baseline.ts";
import { Baselines } from "./baselines.ts";
import { describeMachine } from "./machine.ts";
import { measureScenario, type Session } from "./measure-scenario.ts";
import type { BenchOptions } from "./options.ts";
import type { Report, ScenarioReport, SkippedScenario } from "./report.ts";

/** How long a call may take where the bench has started Remex itself. */
const DEADLINE_MS = 300_000;

const RETENTION_SECONDS = { full: 1, tiny: 0.2 } as const satisfies Record<ScaleName, number>;

/**
 * Measures what the options say.
 * @param bundles where `bench/build.js` put what the bench starts
 * @param progress is told what is about to happen
 * @throws Error if Remex can't be started
 */
export async function runBench(
  options: BenchOptions,
  bundles: string,
  progress: (line: string) => void,
): Promise<Report> {
  const startedAt = new Date().toISOString();
  const directory = await mkdtemp(join(tmpdir(), "remex-bench-"));
  let remex: LocalRemex | undefined;
  try {
    if (options.target === undefined) {
      progress("starting Remex");
      remex = await startRemex(options, bundles, directory);
    }
    const outcomes = await measureAll(options.scenarios, { options, bundles, directory, remex, progress });
    return {
      formatVersion: 2,
      startedAt,
      machine: describeMachine(),
      settings: settingsOf(options),
      scenarios: outcomes.filter((outcome) => "result" in outcome),
      skipped: outcomes.filter((outcome) => "reason" in outcome),
    };
  } finally {
    await remex?.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface Surroundings {
  readonly options: BenchOptions;
  readonly bundles: string;
  readonly directory: string;
  readonly remex: LocalRemex | undefined;
  readonly progress: (line: string) => void;
}

async function measureAll(
  scenarios: readonly Scenario[],
  { options, bundles, directory, remex, progress }: Surroundings,
): Promise<(ScenarioReport | SkippedScenario)[]> {
  const grpcTarget = targetOf(options, remex);
  const caller = createGrpcCaller(grpcTarget);
  const workerUrl = remex?.workerUrl ?? options.workerUrl;
  const direct = workerUrl && createConnectCaller(workerUrl, grpcTarget.deadlineMs);
  const blobs = new BlobSource();
  const baselines = new Baselines({ bundles, directory, slots: options.slots, blobs });
  try {
    const capabilities = await serverCapabilities(caller, options.instanceName);
    if (typeof capabilities === "string") return scenarios.map(({ name }) => ({ name, reason: capabilities }));
    const session: Session = {
      target: { caller, instanceName: options.instanceName, capabilities, blobs, platform: options.platform },
      runs: options.runs,
      connect: (connections) => createGrpcCaller(grpcTarget, connections),
      direct,
      remex,
      retentionMs: retentionMs(options),
      baselines: async ({ baselines: names = [] }) => {
        const started: Baseline[] = [];
        for (const name of options.baselines ? names : []) started.push(await baselines.get(name));
        return started;
      },
    };
    const outcomes: (ScenarioReport | SkippedScenario)[] = [];
    for (const [i, scenario] of scenarios.entries()) {
      progress(`${i + 1}/${scenarios.length} ${scenario.name}`);
      outcomes.push(await measureScenario(scenario, session));
    }
    return outcomes;
  } finally {
    await baselines.stop();
    direct?.close();
    caller.close();
  }
}

function startRemex(options: BenchOptions, bundles: string, directory: string): Promise<LocalRemex> {
  return startLocalRemex({
    bundles,
    directory: join(directory, "remex"),
    instanceName: options.instanceName,
    config: configOf(options),
    slots: options.slots,
    counted: options.bill,
    r2LatencyMs: options.r2LatencyMs,
    objectLatencyMs: options.objectLatencyMs,
    profiles: options.profiles,
  });
}

function targetOf({ target }: BenchOptions, remex: LocalRemex | undefined): GrpcTarget {
  if (target !== undefined) return target;
  if (remex === undefined) throw new Error("without a target the bench starts Remex");
  return { address: remex.address, tls: undefined, token: undefined, deadlineMs: DEADLINE_MS };
}

function configOf({ config, instanceName, scale }: BenchOptions): string {
  return config ?? benchConfig(instanceName, RETENTION_SECONDS[scale]);
}

function retentionMs(options: BenchOptions): number {
  if (options.target !== undefined) return 0;
  const instance = parseConfig(configOf(options)).instances.get(options.instanceName);
  return (instance?.scheduler.retain_completed_for_s ?? 0) * 1000;
}

/** What the server offers, or why nothing can be measured there. */
async function serverCapabilities(caller: Caller, instanceName: string): Promise<ServerCapabilities | string> {
  try {
    const capabilities = await callUnary(caller, Capabilities.method.getCapabilities, { instanceName });
    const digestFunctions = capabilities.cacheCapabilities?.digestFunctions ?? [];
    return digestFunctions.includes(DigestFunction_Value.SHA256)
      ? capabilities
      : `the server takes no SHA-256 for instance "${instanceName}"`;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    return `the server has no capabilities for instance "${instanceName}": ${codeName(error.code)}: ${error.rawMessage}`;
  }
}

function settingsOf(options: BenchOptions): Report["settings"] {
  const { target, instanceName, scale, runs, slots, r2LatencyMs, objectLatencyMs } = options;
  return {
    target: target === undefined ? "remex" : target.address,
    instanceName,
    scale,
    runs,
    slots,
    r2LatencyMs,
    objectLatencyMs,
  };
}
