import { availableParallelism } from "node:os";
import type { Logger } from "pino";
import type { InstanceMessage } from "../protos/gen/remex/agent/v1/agent_pb.ts";
import { digestToWire } from "../src/digest/digest.ts";
import { AgentIdentity } from "./agent-identity.ts";
import type { AgentOptions } from "./agent-options.ts";
import { sleep } from "./backoff.ts";
import { openCas } from "./blobs/cas.ts";
import { agentSocketUrl } from "./connection/agent-socket-url.ts";
import { Connection } from "./connection/connection.ts";
import { DiskSpace } from "./disk-space.ts";
import { drain } from "./drain.ts";
import { DirectoryCache } from "./inputs/directory-cache.ts";
import { FileCache } from "./inputs/file-cache.ts";
import { LaidOutDirectories } from "./inputs/laid-out-directories.ts";
import { safePlacementMode } from "./inputs/file-placement.ts";
import { InputRoots } from "./inputs/input-roots.ts";
import { executeLease } from "./leases/execute-lease.ts";
import { traceLease } from "./leases/trace-lease.ts";
import { HeldLeases, type Link } from "./leases/held-leases.ts";
import { LiveOutput } from "./leases/live-output.ts";
import { Interruption } from "./leases/interruption.ts";
import type { Machine } from "./leases/machine.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { PersistentWorkers } from "./persistent-workers/persistent-workers.ts";
import { foundProperties, mergeProperties } from "./platform-properties.ts";
import { DEFAULT_SANDBOX_PATHS, Sandbox } from "./sandbox.ts";
import {
  closeControlGroups,
  ControlGroupsError,
  openControlGroups,
  type ControlGroups,
} from "./runner/control-groups.ts";
import { Runner } from "./runner/runner.ts";
import { askedProperties } from "./shards/asked-properties.ts";
import { errorMessage } from "./system-error.ts";
import { ShardLinks } from "./shards/shard-links.ts";
import { SharedCapacity } from "./shards/shared-capacity.ts";
import { WorkDirectory } from "./work-directory.ts";

const DEFAULT_CACHE_BYTES = 10 * 1024 ** 3;
const DEFAULT_DRAIN_TIMEOUT_MS = 60_000;

/** How long killed commands may take to go before the agent leaves them to their fate. */
const KILL_TIMEOUT_MS = 5_000;

/** How long the agent waits for what it has to remove. */
const REMOVAL_TIMEOUT_MS = 10_000;

/**
 * Runs a build machine's agent until `signal` aborts and the agent has drained: it takes no new lease, lets those that
 * run end or hands them back after `drainTimeoutMs`, and waits for the object to acknowledge their results.
 * `killSignal` cuts that short.
 * @throws WorkDirectoryError if the work directory can't be used
 * @throws SandboxError if a sandbox is asked for and can't be had
 * @throws AgentRefusedError if the endpoint refuses the agent (its token, or an unknown instance) when it first comes
 */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  const { logger, instanceName, token } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const work = await WorkDirectory.open(options.workDirectory, logger);
  const laidOut = new LaidOutDirectories(work, limits.laidOutNodes);
  const files = await FileCache.open({
    work,
    maxBytes: options.cacheMaxBytes ?? DEFAULT_CACHE_BYTES,
    logger,
    onRemove: (usedAt) => {
      laidOut.forgetUsedUpTo(usedAt);
    },
  });
  const { callRetries: retryPolicy, callTimeoutMs, maxRequestBytes } = limits;
  const cas = openCas({ endpoint: options.endpoint, instanceName, token, retryPolicy, callTimeoutMs, maxRequestBytes });
  const { sandbox: sandboxMode = "none", sandboxPaths: paths = DEFAULT_SANDBOX_PATHS, secretPaths: secrets } = options;
  const sandbox = await Sandbox.open(sandboxMode, { paths, secrets }, work.newAttempt(), logger);
  // In a sandbox not even an agent that is root gives a command the right to write whatever the mode says.
  const safe = sandbox === undefined ? await safePlacementMode(work.newTemporaryFile()) : "hard-link";
  const placement = options.placement ?? safe;
  const groups = options.controlGroups === "auto" ? await openGroups(logger) : undefined;
  const runner = new Runner(groups);
  const maxWorkers = options.maxPersistentWorkers ?? availableParallelism();
  const persistentWorkers =
    maxWorkers === 0
      ? undefined
      : new PersistentWorkers({ ...limits.persistentWorkers, maxWorkers, runner, work, logger });
  const directories = new DirectoryCache(limits.directoryCacheEntries);
  const inputRoots = new InputRoots(directories, files);
  const liveOutput = new LiveOutput(logger);
  const { name } = options;
  const disk = new DiskSpace({
    newProbe: () => work.newTemporaryFile(),
    minFreeBytes: limits.minFreeBytes,
    checkIntervalMs: limits.diskCheckIntervalMs,
    logger,
    release: async (bytes) => {
      persistentWorkers?.endIdle("the disk is full");
      await files.release(bytes);
      // Directories of inputs may have been the last to hold a file that the cache gave up.
      await work.whenRemoved(AbortSignal.timeout(REMOVAL_TIMEOUT_MS));
    },
    onChange: () => {
      onWillingnessChange();
    },
  });
  const own = await AgentIdentity.open(work);
  const identity = helloIdentity(options, own);
  const machine: Machine = {
    name,
    instanceName,
    cas,
    directories,
    files,
    inputRoots,
    placement,
    // Copies would take room of their own, and a process that outlives its action would write to another's inputs.
    laidOut: placement === "hard-link" && (sandbox !== undefined || groups !== undefined) ? laidOut : undefined,
    runner,
    persistentWorkers,
    sandbox,
    properties: identity.platform.properties,
    entrypoint: options.entrypoint,
    additionalEnvironment: options.additionalEnvironment ?? {},
    liveOutput,
    work,
    disk,
    limits,
    logger,
  };

  const capacity = new SharedCapacity(identity.maxActions, identity.platform.properties);
  const leases = new HeldLeases({
    execute: (lease, onPhase, interrupted) =>
      traceLease(options.tracer, lease, onPhase, (noted) => executeLease(lease, machine, noted, interrupted)),
    admit: (lease, link) => {
      const admitted = capacity.admit(lease.leaseId, link.shard, askedProperties(lease));
      if (admitted) links.share(link);
      return admitted;
    },
    onEnd: (leaseId, link) => {
      capacity.release(leaseId);
      links.share(link);
    },
    onBusy: (link) => {
      links.wait(link);
    },
    maxMessageBytes: limits.maxMessageBytes,
    progressDelayMs: limits.progressDelayMs,
    logger,
  });
  const { drainTimeoutMs = DEFAULT_DRAIN_TIMEOUT_MS, killSignal = new AbortController().signal } = options;
  let onReady: (() => void) | undefined = options.onReady ?? (() => undefined);
  const links: ShardLinks = new ShardLinks({
    leases,
    capacity,
    connect: (shard, { leaseIds, onMessage, onWelcome }) =>
      new Connection({
        url: agentSocketUrl(options.endpoint, instanceName, shard),
        token,
        reconnect: limits.reconnect,
        welcomeTimeoutMs: limits.welcomeTimeoutMs,
        logger,
        hello: () => ({
          ...identity,
          leaseIds: leaseIds(),
          cachedInputRoots: inputRoots.whole().map(digestToWire),
          cache: files.usage,
          draining: signal.aborted || unwilling() !== undefined,
        }),
        onWelcome,
        onMessage,
      }),
    onWelcome: ({ shard }) => {
      logger.info({ instanceName, shard, placement }, "connected");
      if (onReady === undefined) return;
      own.told().catch((error: unknown) => {
        logger.warn({ error: errorMessage(error) }, "cannot forget which agents this one replaces");
      });
      onReady();
      onReady = undefined;
    },
    onMessage: (message, link) => {
      if (message.case === "drain") onDrainRequest(message.value.draining);
      else handleMessage(message, link, leases, liveOutput, logger);
    },
  });

  let drainedByOperator = false;
  /** Why the agent takes no new lease, although it doesn't stop. */
  const unwilling = (): string | undefined => {
    if (disk.full) return "the agent's disk is full";
    return drainedByOperator ? "an operator drains the agent" : undefined;
  };

  /** An agent that stops has said so already. */
  const onWillingnessChange = (): void => {
    if (signal.aborted) return;
    const reason = unwilling();
    if (reason !== undefined) {
      leases.refuseNew(new Interruption("handed-back", reason));
      links.sendAll({ case: "drain", value: {} });
    } else {
      leases.acceptNew();
      links.reconnectAll("the agent takes actions again");
    }
  };

  /** Every shard says so, and what the first one said is done already when the others do. */
  const onDrainRequest = (draining: boolean): void => {
    if (draining === drainedByOperator) return;
    logger.info({ draining }, draining ? "an operator drains the agent" : "an operator lets the agent go on");
    drainedByOperator = draining;
    onWillingnessChange();
  };

  await disk.watch();
  runner.start();
  const gone = new AbortController();
  const stopped = new AbortController();
  const drained = drain(leases, links, {
    signal,
    killSignal,
    drainTimeoutMs,
    acknowledgementTimeoutMs: limits.acknowledgementTimeoutMs,
    logger,
  }).finally(() => {
    stopped.abort();
  });
  try {
    await Promise.all([links.run(stopped.signal), drained]);
  } finally {
    leases.interruptAll(new Interruption("killed", "the agent stops"));
    await leases.whenNoneRuns(AbortSignal.timeout(KILL_TIMEOUT_MS));
    await Promise.race([persistentWorkers?.close(), sleep(KILL_TIMEOUT_MS, gone.signal)]);
    gone.abort();
    runner.close();
    if (groups !== undefined) await closeControlGroups(groups);
    if (leases.size === 0) await own.close();
    disk.close();
    cas.close();
    // What is not removed by then, the next agent removes.
    await work.whenRemoved(AbortSignal.timeout(REMOVAL_TIMEOUT_MS));
  }
}

/** Acts on a message of the object. */
function handleMessage(
  message: InstanceMessage["message"],
  link: Link,
  leases: HeldLeases,
  liveOutput: LiveOutput,
  logger: Logger,
): void {
  switch (message.case) {
    case "lease":
      leases.accept(message.value, link);
      break;
    case "cancel":
      leases.cancel(message.value.leaseId, message.value.reason);
      break;
    case "acknowledgement":
      leases.acknowledge(message.value.leaseId);
      break;
    case "outputRequest":
      void liveOutput.answer(message.value, link);
      break;
    default:
      logger.debug({ message: message.case }, "ignored a message that this agent has no use for");
  }
}

/** Undefined where there are none to be had. */
async function openGroups(logger: Logger): Promise<ControlGroups | undefined> {
  try {
    const groups = await openControlGroups();
    const { directory, lacking } = groups;
    if (lacking !== undefined) logger.info({ directory, lacking }, "memory and CPUs of actions are not all bounded");
    return groups;
  } catch (error) {
    if (!(error instanceof ControlGroupsError)) throw error;
    logger.info({ reason: error.message }, "actions run without control groups: memory and CPUs are not bounded");
    return undefined;
  }
}

/** What Hello says of this agent every time. */
function helloIdentity(
  { name, version, properties = [], maxActions }: AgentOptions,
  { agentId, replacedAgentIds }: AgentIdentity,
) {
  return {
    agentId,
    replacedAgentIds: [...replacedAgentIds],
    name,
    version,
    platform: { properties: mergeProperties(foundProperties(), properties) },
    maxActions: maxActions ?? availableParallelism(),
  };
}
