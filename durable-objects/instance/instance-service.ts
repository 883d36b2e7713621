import type { Tracer } from "@opentelemetry/api";
import type { ExecuteResponse } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  type Enqueue,
  type ExecutionRequest,
  OutputEvent_State as OutputState,
  type ReadOutput,
  type WatchRequest,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { SchedulerConfig } from "../../src/config/schema.ts";
import type { InstanceShard } from "../../src/instance-object/operation-name.ts";
import { executionLogFields } from "../../src/execution/log-fields.ts";
import { log } from "../../src/log.ts";
import type { Happening } from "../scheduler/events.ts";
import { type PlatformRules, PropertyError, type Requirement, requirementOf } from "../scheduler/platform.ts";
import { Scheduler } from "../scheduler/scheduler.ts";
import type { ExecutionSnapshot } from "../scheduler/snapshot.ts";
import { AgentConversations } from "./agent-conversations.ts";
import type { AgentSockets } from "./agent-sockets.ts";
import { type Cargo, Effects } from "./effects.ts";
import { isCacheable } from "./lease-report.ts";
import type { InstanceMetrics, Metrics } from "./metrics.ts";
import { Operations } from "./operations.ts";
import type { OutputReaders } from "./output-readers.ts";
import { History } from "./history.ts";
import { Inspection } from "./inspection.ts";
import { executionSnapshot, requestFacts } from "./records.ts";
import { platformRules, schedulerLimits } from "./scheduler-settings.ts";
import { invalidPlatform, unknownOperation } from "./status.ts";
import type { InstanceStorage } from "./storage.ts";
import type { Watchers } from "./watchers.ts";

export interface InstanceServiceParts {
  readonly shard: InstanceShard;
  readonly config: SchedulerConfig;
  readonly storage: InstanceStorage;
  readonly agents: AgentSockets;
  readonly watchers: Watchers;
  readonly readers: OutputReaders;
  readonly metrics: Metrics;
  /** Puts the result of a successful, cacheable execution into the action cache. */
  readonly cacheResult: (request: ExecutionRequest, response: ExecuteResponse) => Promise<void>;
  /** Lets work go on after the event that started it. */
  readonly waitUntil: (work: Promise<unknown>) => void;
  /** Told after each event when the next `tick` is due; undefined for never. */
  readonly onDeadline: (deadlineMs: number | undefined) => void;
  /** Undefined where tracing is off. */
  readonly tracer: Tracer | undefined;
  readonly nowMs: () => number;
}

/** Turns what comes in on sockets into the scheduler's events, and lets its decisions be carried out. */
export class InstanceService {
  readonly operations: Operations;
  readonly agents: AgentConversations;
  readonly inspection: Inspection;
  readonly #parts: InstanceServiceParts;
  readonly #rules: PlatformRules;
  readonly #scheduler: Scheduler;
  readonly #effects: Effects;
  readonly #metrics: Metrics;

  constructor(parts: InstanceServiceParts) {
    this.#parts = parts;
    this.#rules = platformRules(parts.config);
    this.#metrics = parts.metrics;
    this.#scheduler = new Scheduler(schedulerLimits(parts.config));
    this.operations = new Operations(parts.shard, parts.storage);
    this.agents = new AgentConversations({
      config: parts.config,
      rules: this.#rules,
      scheduler: this.#scheduler,
      storage: parts.storage,
      sockets: parts.agents,
      operations: this.operations,
      readers: parts.readers,
      step: (happening, cargo) => {
        this.#step(happening, cargo);
      },
      nowMs: parts.nowMs,
    });
    const history = new History(parts.storage, parts.config.max_history_actions);
    this.inspection = new Inspection({
      scheduler: this.#scheduler,
      storage: parts.storage,
      operations: this.operations,
      history,
      agents: parts.agents,
      conversations: this.agents,
    });
    this.#effects = new Effects({
      scheduler: this.#scheduler,
      storage: parts.storage,
      operations: this.operations,
      agents: parts.agents,
      watchers: parts.watchers,
      readers: parts.readers,
      metrics: this.#metrics,
      history,
      conversations: this.agents,
      publish: (executionId, request, response) => {
        parts.waitUntil(this.#publish(executionId, request, response));
      },
      step: (happening) => {
        this.#step(happening);
      },
      tracer: parts.tracer,
      nowMs: parts.nowMs,
    });
    this.#restore();
  }

  /** A watcher's request, on the socket that was opened for `operationId`. */
  watch(socket: WebSocket, operationId: string, { request }: WatchRequest): void {
    const known = this.operations.get(operationId);
    const isNew = known === undefined && !this.#scheduler.hasEnded(operationId);
    if (isNew && request.case === "enqueue") {
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

  /** Whether the scheduler has to do with the operation still. */
  isLive(operationId: string): boolean {
    return this.#scheduler.executionOf(operationId) !== undefined;
  }

  /** Returns whether there was a live operation to cancel. */
  cancel(operationId: string): boolean {
    if (!this.isLive(operationId)) return false;
    this.#step({ type: "cancel_operation", operationId });
    return true;
  }

  metrics(byAgent: boolean): InstanceMetrics {
    return this.#metrics.snapshot(this.#scheduler.counts(byAgent));
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
      { request, toolInvocationId },
    );
  }

  async #publish(executionId: string, request: ExecutionRequest, response: ExecuteResponse): Promise<void> {
    if (!request.doNotCache && isCacheable(response)) {
      try {
        await this.#parts.cacheResult(request, response);
      } catch (error) {
        // The client has its result all the same; the next one finds nothing cached.
        const about = executionLogFields(
          this.operations.name(executionId),
          request.actionDigest,
          request.requestMetadata?.toolInvocationId,
        );
        log.error({ ...about, error }, "could not cache an action's result");
      }
    }
    this.#step({ type: "published", executionId });
  }

  #step(happening: Happening, cargo?: Cargo): void {
    this.#effects.carryOut(this.#scheduler.step({ ...happening, nowMs: this.#parts.nowMs() }), cargo);
    this.#parts.onDeadline(this.#scheduler.nextDeadlineMs());
  }

  #restore(): void {
    const { nowMs, storage, watchers } = this.#parts;
    const executions: ExecutionSnapshot[] = [];
    for (const { id, request, record } of storage.liveExecutions()) {
      executions.push(executionSnapshot(id, request, record, this.#rules));
    }
    const snapshot = {
      agents: this.agents.restore(),
      executions,
      ended: storage.endedExecutions(),
      clocks: storage.clocks(),
    };
    this.#effects.carryOut(this.#scheduler.restore(nowMs(), snapshot));
    this.#parts.onDeadline(this.#scheduler.nextDeadlineMs());
    for (const { operations } of executions) {
      for (const { id } of operations) {
        if (watchers.of(id).length === 0) this.#step({ type: "operation_watched", operationId: id, watched: false });
      }
    }
  }
}
