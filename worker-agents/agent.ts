import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { HelloSchema, InstanceMessage } from "../protos/gen/remex/agent/v1/agent_pb.ts";
import type { AgentOptions } from "./agent-options.ts";
import { openCas } from "./blobs/cas.ts";
import { Connection } from "./connection/connection.ts";
import { drain } from "./drain.ts";
import { DirectoryCache } from "./inputs/directory-cache.ts";
import { FileCache } from "./inputs/file-cache.ts";
import { safePlacementMode } from "./inputs/file-placement.ts";
import { executeLease } from "./leases/execute-lease.ts";
import { HeldLeases } from "./leases/held-leases.ts";
import { LiveOutput } from "./leases/live-output.ts";
import { Interruption } from "./leases/interruption.ts";
import type { Machine } from "./leases/machine.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { foundProperties, mergeProperties } from "./platform-properties.ts";
import { Runner } from "./runner/runner.ts";
import { WorkDirectory } from "./work-directory.ts";

const DEFAULT_CACHE_BYTES = 10 * 1024 ** 3;
const DEFAULT_DRAIN_TIMEOUT_MS = 60_000;

/** How long killed commands may take to go before the agent leaves them to their fate. */
const KILL_TIMEOUT_MS = 5_000;

/**
 * Runs a build machine's agent until `signal` aborts and the agent has drained: it takes no new lease, lets those that
 * run end or hands them back after `drainTimeoutMs`, and waits for the object to acknowledge their results.
 * `killSignal` cuts that short.
 * @throws WorkDirectoryError if the work directory can't be used
 * @throws AgentRefusedError if the endpoint refuses the agent (its token, or an unknown instance) when it first comes
 */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const { logger, instanceName, token } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const work = await WorkDirectory.open(options.workDirectory, logger);
  const placement = options.placement ?? (await safePlacementMode(work.newTemporaryFile()));
  const files = await FileCache.open({ work, maxBytes: options.cacheMaxBytes ?? DEFAULT_CACHE_BYTES, logger });
  const { callRetries: retryPolicy, callTimeoutMs, maxRequestBytes } = limits;
  const cas = openCas({ endpoint: options.endpoint, instanceName, token, retryPolicy, callTimeoutMs, maxRequestBytes });
  const runner = new Runner();
  const directories = new DirectoryCache(limits.directoryCacheEntries);
  const liveOutput = new LiveOutput((message) => {
    connection.send(message);
  }, logger);
  const { name } = options;
  const machine: Machine = {
    name,
    instanceName,
    cas,
    directories,
    files,
    placement,
    runner,
    liveOutput,
    work,
    limits,
    logger,
  };

  const leases = new HeldLeases({
    execute: (lease, onPhase, interrupted) => executeLease(lease, machine, onPhase, interrupted),
    send: (message) => {
      connection.send(message);
    },
    maxMessageBytes: limits.maxMessageBytes,
    progressDelayMs: limits.progressDelayMs,
    logger,
  });
  const { drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS, killSignal = new AbortController().signal } = options;
  const identity = helloIdentity(options);
  let { onReady } = options;
  const connection: Connection = new Connection({
    url: agentSocketUrl(options.endpoint, instanceName),
    token,
    reconnect: limits.reconnect,
    welcomeTimeoutMs: limits.welcomeTimeoutMs,
    logger,
    hello: () => ({ ...identity, leaseIds: leases.ids, draining: signal.aborted }),
    onWelcome: () => {
      logger.info({ instanceName, placement }, "connected");
      leases.sendAll();
      onReady?.();
      onReady = undefined;
    },
    onMessage: (message) => {
      handleMessage(message, leases, liveOutput, logger);
    },
  });

  runner.start();
  const stopped = new AbortController();
  const drained = drain(leases, connection, {
    signal,
    killSignal,
    drainTimeoutMs,
    acknowledgementTimeoutMs: limits.acknowledgementTimeoutMs,
    logger,
  }).finally(() => {
    stopped.abort();
  });
  try {
    await Promise.all([connection.run(stopped.signal), drained]);
  } finally {
    leases.interruptAll(new Interruption("killed", "the agent stops"));
    await leases.whenNoneRuns(AbortSignal.timeout(KILL_TIMEOUT_MS));
    runner.close();
    cas.close();
    await work.close();
  }
}

/** Acts on a message of the object. */
function handleMessage(
  message: InstanceMessage["message"],
  leases: HeldLeases,
  liveOutput: LiveOutput,
  logger: Logger,
): void {
  switch (message.case) {
    case "lease":
      leases.accept(message.value);
      break;
    case "cancel":
      leases.cancel(message.value.leaseId, message.value.reason);
      break;
    case "acknowledgement":
      leases.acknowledge(message.value.leaseId);
      break;
    case "outputRequest":
      void liveOutput.answer(message.value);
      break;
    default:
      logger.debug({ message: message.case }, "ignored a message that this agent has no use for");
  }
}

/** What Hello says of this agent every time. */
function helloIdentity({
  name,
  version,
  properties = [],
  maxActions,
}: AgentOptions): MessageInitShape<typeof HelloSchema> {
  return {
    agentId: randomUUID(),
    name,
    version,
    platform: { properties: mergeProperties(foundProperties(), properties) },
    maxActions: maxActions ?? availableParallelism(),
  };
}

function agentSocketUrl(endpoint: URL, instanceName: string): URL {
  const base = endpoint.href.replace(/\/$/, "").replace(/^http/, "ws");
  return new URL(`${base}/v1/instances/${encodeURIComponent(instanceName)}/agent`);
}
