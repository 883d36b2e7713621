import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ExecuteResponse } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  type AgentMessage,
  type Hello,
  type LeaseProgress,
  LeaseProgress_Phase as Phase,
  type LeaseResult,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import {
  type Enqueue,
  type ExecutionRequest,
  OutputEvent_State as OutputState,
  type ReadOutput,
  type WatchRequest,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { SchedulerConfig } from "../../src/config/schema.ts";
import type { InstanceShard } from "../../src/instance-object/operation-name.ts";
import { log } from "../../src/log.ts";
import type { Happening, LeasePhase } from "../scheduler/events.ts";
import { type PlatformRules, PropertyError, type Requirement, requirementOf } from "../scheduler/platform.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import type { EndedSnapshot, ExecutionSnapshot } from "../scheduler/snapshot.ts";
import { agentCapacity, agentDescription, refuseHello } from "./agent-description.ts";
import { type AgentSockets, CLOSE } from "./agent-sockets.ts";
import { type Cargo, Effects } from "./effects.ts";
import { isCacheable, leaseReport } from "./lease-report.ts";
import { type InstanceMetrics, Metrics } from "./metrics.ts";
import { Operations } from "./operations.ts";
import type { OutputReaders } from "./output-readers.ts";
import { endedSnapshot, executionSnapshot, requestFacts } from "./records.ts";
import { platformRules, schedulerLimits } from "./scheduler-settings.ts";
import { invalidPlatform, unknownOperation } from "./status.ts";
import type { InstanceStorage } from "./storage.ts";
import type { Watchers } from "./watchers.ts";

/** How often an agent sends a heartbeat, as a part of the worker timeout: three may be lost before it counts as silent. */
const HEARTBEATS_PER_WORKER_TIMEOUT = 4;

const PHASES = {
  [Phase.UNSPECIFIED]: undefined,
  [Phase.FETCHING_INPUTS]: "fetching_inputs",
  [Phase.EXECUTING]: "executing",
  [Phase.UPLOADING_OUTPUTS]: "uploading_outputs",
} as const satisfies Record<Phase, LeasePhase | undefined>;

export interface InstanceServiceParts {
  readonly shard: InstanceShard;
  readonly config: SchedulerConfig;
  readonly storage: InstanceStorage;
  readonly agents: AgentSockets;
  readonly watchers: Watchers;
  readonly readers: OutputReaders;
  /** Puts the result of a successful, cacheable execution into the action cache. */
  readonly cacheResult: (request: ExecutionRequest, response: ExecuteResponse) => Promise<void>;
  /** Lets work go on after the event that started it. */
  readonly waitUntil: (work: Promise<unknown>) => void;
  readonly nowMs: () => number;
}

/** Turns what comes in on sockets into the scheduler's events, and lets its decisions be carried out. */
export class InstanceService {
  readonly operations: Operations;
  readonly #parts: InstanceServiceParts;
  readonly #rules: PlatformRules;
  readonly #scheduler: Scheduler;
  readonly #effects: Effects;
  readonly #metrics = new Metrics();
  readonly #hellos = new Map<string, Hello>();

  constructor(parts: InstanceServiceParts) {
    this.#parts = parts;
    this.#rules = platformRules(parts.config);
    this.#scheduler = new Scheduler(schedulerLimits(parts.config));
    this.operations = new Operations(parts.shard, parts.storage);
    this.#effects = new Effects({
      scheduler: this.#scheduler,
      storage: parts.storage,
      operations: this.operations,
      agents: parts.agents,
      watchers: parts.watchers,
      readers: parts.readers,
      metrics: this.#metrics,
      agentName: (agentId) => this.#agentName(agentId),
      publish: (executionId, request, response) => {
        parts.waitUntil(this.#publish(executionId, request, response));
      },
      nowMs: parts.nowMs,
    });
    this.#restore();
  }

  nextDeadlineMs(): number | undefined {
    return this.#scheduler.nextDeadlineMs();
  }

  /** A watcher's request, on the socket that was opened for `operationId`. */
  watch(socket: WebSocket, operationId: string, { request }: WatchRequest): void {
    const known = this.operations.get(operationId);
    if (known === undefined && request.case === "enqueue") {
      this.#enqueue(socket, operationId, request.value);
    } else if (known === undefined) {
      this.#parts.watchers.refuse([socket], unknownOperation(this.operations.name(operationId)));
    } else {
      this.#step({ type: "operation_watched", operationId, watched: true });
      this.#parts.watchers.tell([socket], known);
    }
  }

  /** A watcher's socket is gone. */
  unwatch(socket: WebSocket, operationId: string): void {
    const others = this.#parts.watchers.of(operationId).filter((other) => other !== socket);
    if (others.length === 0) this.#step({ type: "operation_watched", operationId, watched: false });
  }

  /** A request of a socket that reads the output of `operationId`. */
  readOutput(socket: WebSocket, operationId: string, request: ReadOutput): void {
    const { readers } = this.#parts;
    const executionId = this.#scheduler.executionOf(operationId);
    const snapshot = executionId === undefined ? undefined : this.#scheduler.snapshot(executionId);
    if (snapshot?.lease !== undefined) {
      readers.request(socket, { leaseId: snapshot.lease.id, agentId: snapshot.lease.agentId }, request);
    } else if (snapshot !== undefined) {
      readers.tell(socket, { state: OutputState.LOST });
    } else {
      const known = this.operations.get(operationId) !== undefined;
      readers.tell(socket, { state: known ? OutputState.ENDED : OutputState.UNKNOWN });
    }
  }

  /** A message of an agent; one that makes no sense closes its socket. */
  hearAgent(socket: WebSocket, { message }: AgentMessage): void {
    if (message.case === "hello") {
      this.#hello(socket, message.value);
      return;
    }
    const agentId = this.#parts.agents.agentOf(socket);
    if (agentId === undefined) {
      socket.close(CLOSE.malformed, "the first message must be a Hello");
      return;
    }
    switch (message.case) {
      case "progress":
        this.#progress(agentId, message.value);
        break;
      case "result":
        this.#result(agentId, message.value);
        break;
      case "drain":
        this.#drain(agentId);
        break;
      case "capacity":
        this.#step({ type: "agent_capacity", agentId, ...agentCapacity(message.value) });
        break;
      case "output":
        this.#parts.readers.answer(message.value);
        break;
      case undefined:
        // A newer agent's message: additions are allowed to be ignored.
        break;
    }
  }

  agentGone(socket: WebSocket): void {
    const agentId = this.#parts.agents.agentOf(socket);
    if (agentId === undefined) return;
    this.#parts.agents.unbind(agentId);
    this.#step({ type: "agent_disconnected", agentId });
  }

  /** Returns whether there was a live operation to cancel. */
  cancel(operationId: string): boolean {
    if (this.#scheduler.executionOf(operationId) === undefined) return false;
    this.#step({ type: "cancel_operation", operationId });
    return true;
  }

  metrics(): InstanceMetrics {
    return this.#metrics.snapshot(this.#scheduler.counts());
  }

  /** Whatever is due by now. */
  tick(): void {
    for (const agentId of this.#scheduler.agentsDue(this.#parts.nowMs())) {
      const heardAtMs = this.#parts.agents.lastHeartbeatMs(agentId);
      if (heardAtMs !== undefined) this.#scheduler.step({ type: "agent_heard", agentId, nowMs: heardAtMs });
    }
    this.#step({ type: "tick" });
  }

  #enqueue(socket: WebSocket, operationId: string, { request, priority, toolInvocationId }: Enqueue): void {
    if (request === undefined) return;
    let requirement: Requirement;
    try {
      requirement = requirementOf(request.platform?.properties ?? [], this.#rules);
    } catch (error) {
      if (!(error instanceof PropertyError)) throw error;
      this.#parts.watchers.refuse([socket], invalidPlatform(error.message));
      return;
    }
    const facts = requestFacts(request);
    this.#step(
      { type: "enqueue", ...facts, operationId, requirement, priority, invocationId: toolInvocationId },
      { request },
    );
  }

  #hello(socket: WebSocket, hello: Hello): void {
    const refusal = refuseHello(hello);
    if (refusal !== undefined) {
      log.warn({ agent: hello.agentId.slice(0, 128), refusal }, "agent turned away");
      socket.close(CLOSE.malformed, refusal);
      return;
    }
    const { agents, config, storage } = this.#parts;
    agents.bind(socket, hello.agentId);
    this.#hellos.set(hello.agentId, hello);
    // Which leases it holds now says nothing about the state after a restart.
    storage.putAgent(hello.agentId, { ...hello, leaseIds: [] });
    const workerTimeoutMs = config.worker_timeout_s * 1000;
    agents.send(hello.agentId, {
      case: "welcome",
      value: {
        heartbeatInterval: durationFromMs(workerTimeoutMs / HEARTBEATS_PER_WORKER_TIMEOUT),
        workerTimeout: durationFromMs(workerTimeoutMs),
        shardCount: config.shards,
      },
    });
    const agent = agentDescription(hello, this.#rules);
    this.#step({ type: "agent_connected", agent, leaseIds: hello.leaseIds });
  }

  #drain(agentId: string): void {
    const hello = this.#hellos.get(agentId);
    if (hello !== undefined && !hello.draining) {
      hello.draining = true;
      this.#parts.storage.putAgent(agentId, { ...hello, leaseIds: [] });
    }
    this.#step({ type: "agent_draining", agentId });
  }

  #progress(agentId: string, { leaseId, phase, metadata }: LeaseProgress): void {
    const executionId = this.#runningExecution(agentId, leaseId);
    const known = PHASES[phase];
    if (executionId === undefined || known === undefined) return;
    if (metadata !== undefined) this.operations.setProgress(executionId, metadata);
    this.#step({ type: "lease_progress", agentId, leaseId, phase: known });
  }

  #result(agentId: string, result: LeaseResult): void {
    const { leaseId } = result;
    const executionId = this.#runningExecution(agentId, leaseId);
    const snapshot = executionId === undefined ? undefined : this.#scheduler.snapshot(executionId);
    const report = leaseReport(result, {
      agentName: this.#agentName(agentId) ?? agentId,
      queuedAtMs: snapshot?.queuedAtMs ?? 0,
      timeoutMs: snapshot?.timeoutMs ?? 0,
      failures: snapshot?.failures ?? [],
    });
    const { message, outcome, response } = report;
    this.#step({ type: "lease_ended", agentId, leaseId, outcome, message }, response && { response });
  }

  async #publish(executionId: string, request: ExecutionRequest, response: ExecuteResponse): Promise<void> {
    if (!request.doNotCache && isCacheable(response)) {
      try {
        await this.#parts.cacheResult(request, response);
      } catch (error) {
        // The client has its result all the same; the next one finds nothing cached.
        log.error({ operation: this.operations.name(executionId), error }, "could not cache an action's result");
      }
    }
    this.#step({ type: "published", executionId });
  }

  #step(happening: Happening, cargo?: Cargo): void {
    this.#effects.carryOut(this.#scheduler.step({ ...happening, nowMs: this.#parts.nowMs() }), cargo);
  }

  /** The execution whose lease this is, if it still runs at that agent. */
  #runningExecution(agentId: string, leaseId: string): string | undefined {
    const executionId = leaseId.slice(0, leaseId.lastIndexOf("."));
    const lease = this.#scheduler.snapshot(executionId)?.lease;
    return lease?.agentId === agentId && lease.id === leaseId ? executionId : undefined;
  }

  #agentName(agentId: string): string | undefined {
    const hello = this.#hellos.get(agentId);
    return hello && agentDescription(hello, this.#rules).name;
  }

  #restore(): void {
    const { agents, nowMs, storage, watchers } = this.#parts;
    const executions: ExecutionSnapshot[] = [];
    const ended: EndedSnapshot[] = [];
    for (const { id, request, record } of storage.executions()) {
      if (record.end === undefined) executions.push(executionSnapshot(id, request, record, this.#rules));
      else ended.push(endedSnapshot(id, request, record));
    }
    ended.sort((a, b) => a.endedAtMs - b.endedAtMs);
    const agentSnapshots = storage.agents().map((hello) => {
      this.#hellos.set(hello.agentId, hello);
      const connected = agents.isConnected(hello.agentId);
      const lastHeardMs = agents.lastHeartbeatMs(hello.agentId) ?? nowMs();
      return { description: agentDescription(hello, this.#rules), connected, lastHeardMs };
    });
    this.#effects.carryOut(this.#scheduler.restore(nowMs(), { agents: agentSnapshots, executions, ended }));
    for (const { operations } of executions) {
      for (const { id } of operations) {
        if (watchers.of(id).length === 0) this.#step({ type: "operation_watched", operationId: id, watched: false });
      }
    }
  }
}
