import type { EnqueueEvent } from "../../../../durable-objects/scheduler/events.ts";
import type { SchedulerLimits } from "../../../../durable-objects/scheduler/limits.ts";
import type { PlatformProperty } from "../../../../durable-objects/scheduler/platform.ts";
import { amountMilli, canServe } from "./platforms.ts";
import { hold } from "./violation.ts";
import { WaitingLines } from "./waiting-lines.ts";

/** An Execute that the world sends, with the properties that its requirement was made of. */
export type Request = Omit<EnqueueEvent, "type"> & { readonly wanted: readonly PlatformProperty[] };

export interface BookedOperation {
  readonly id: string;
  readonly priority: number;
  /** Undefined while a client waits for it. */
  unwatchedSinceMs: number | undefined;
}

export interface BookedExecution {
  readonly id: string;
  readonly request: Request;
  readonly queuedAtMs: number;
  /** Which one it was to come. */
  readonly arrival: number;
  readonly operations: Map<string, BookedOperation>;
  invocationId: string;
  /** The best of its operations'. */
  priority: number;
  stage: "queued" | "leased" | "finishing" | "ended";
  lease: BookedLease | undefined;
  leases: number;
  failures: number;
  finishingSinceMs: number;
  endedAtMs: number;
  /** It ended because its attempts were spent. */
  spent: boolean;
}

export interface BookedLease {
  readonly id: string;
  readonly agent: BookedAgent;
  readonly wanted: readonly PlatformProperty[];
  readonly timeoutMs: number;
  startedAtMs: number;
  /** Undefined once nobody wants it any more; then `abandonedAtMs` says since when. */
  execution: BookedExecution | undefined;
  abandonedAtMs: number;
}

export interface BookedAgent {
  readonly id: string;
  offered: readonly PlatformProperty[];
  /** Infinity for any number. */
  maxActions: number;
  /** How much of it this scheduler may use. */
  capacityMilli: Capacity;
  connected: boolean;
  draining: boolean;
  lastHeardMs: number;
  readonly leases: Map<string, BookedLease>;
  /** By platform key, whether it could serve it. */
  readonly serves: Map<string, boolean>;
}

export type Capacity = Readonly<Record<"cpu" | "memory", number>>;

export interface BookedGroup {
  readonly key: string;
  readonly wanted: readonly PlatformProperty[];
  queued: number;
  /** Set while something is queued and no agent could serve it. */
  unmatchedSinceMs: number | undefined;
  /** When executions of it were last failed for want of an agent. */
  refusedSinceMs: number;
}

/**
 * What the world knows of the scheduler's state from events and decisions alone: each book is kept in the plainest way, so
 * that it can be right where the scheduler is clever and wrong.
 */
export class Books {
  readonly limits: SchedulerLimits;
  /** The scheduler's clock as it should be: the wall's, but never backwards between restarts. */
  nowMs = 0;
  /** Live executions, and those that ended and aren't forgotten. */
  readonly executions = new Map<string, BookedExecution>();
  readonly live = new Map<string, BookedExecution>();
  /** Of the live ones, by operation. */
  readonly operations = new Map<string, BookedExecution>();
  readonly agents = new Map<string, BookedAgent>();
  readonly groups = new Map<string, BookedGroup>();
  readonly lines = new WaitingLines();
  /** By action key, the live execution that a new operation of the action would share. */
  readonly #mergeable = new Map<string, BookedExecution>();
  /** By action key, when the attempts of an action were spent. */
  readonly spentAtMs = new Map<string, number>();
  queued = 0;
  arrivals = 0;

  constructor(limits: SchedulerLimits) {
    this.limits = limits;
  }

  execution(id: string): BookedExecution {
    const execution = this.live.get(id);
    hold(execution !== undefined, "a decision is about a live execution", () => id);
    return execution;
  }

  agent(id: string): BookedAgent {
    const agent = this.agents.get(id);
    hold(agent !== undefined, "a decision is about a known agent", () => id);
    return agent;
  }

  group({ requirement, wanted }: Request): BookedGroup {
    let group = this.groups.get(requirement.key);
    if (group === undefined) {
      group = { key: requirement.key, wanted, queued: 0, unmatchedSinceMs: undefined, refusedSinceMs: -Infinity };
      this.groups.set(group.key, group);
    }
    return group;
  }

  enqueued(request: Request): void {
    const { operationId: id, priority, invocationId } = request;
    const execution: BookedExecution = {
      id,
      request,
      queuedAtMs: this.nowMs,
      arrival: this.arrivals++,
      operations: new Map([[id, { id, priority, unwatchedSinceMs: undefined }]]),
      invocationId,
      priority,
      stage: "queued",
      lease: undefined,
      leases: 0,
      failures: 0,
      finishingSinceMs: 0,
      endedAtMs: 0,
      spent: false,
    };
    this.executions.set(id, execution);
    this.live.set(id, execution);
    this.operations.set(id, execution);
    if (request.mergeable) this.#mergeable.set(request.actionKey, execution);
    this.#wait(execution);
  }

  /** `invocationId` is the build that the execution waits with from now on. */
  joined(execution: BookedExecution, { operationId: id, priority }: Request, invocationId: string): void {
    execution.operations.set(id, { id, priority, unwatchedSinceMs: undefined });
    this.operations.set(id, execution);
    this.#reprioritize(execution, invocationId);
  }

  operationEnded(execution: BookedExecution, operationId: string): void {
    execution.operations.delete(operationId);
    this.operations.delete(operationId);
    this.#reprioritize(execution, execution.invocationId);
  }

  leased(execution: BookedExecution, leaseId: string, agent: BookedAgent): void {
    this.lines.serve(execution);
    this.#noLongerQueued(execution);
    const { wanted, timeoutMs } = execution.request;
    const startedAtMs = this.nowMs;
    const lease = { id: leaseId, agent, wanted, timeoutMs, startedAtMs, execution, abandonedAtMs: 0 };
    agent.leases.set(leaseId, lease);
    execution.lease = lease;
    execution.leases += 1;
    execution.stage = "leased";
  }

  requeued(execution: BookedExecution): void {
    execution.lease = undefined;
    this.#wait(execution);
  }

  finishing(execution: BookedExecution): void {
    execution.lease = undefined;
    execution.stage = "finishing";
    execution.finishingSinceMs = this.nowMs;
  }

  ended(execution: BookedExecution): void {
    if (execution.stage === "queued") {
      this.lines.leave(execution);
      this.#noLongerQueued(execution);
    }
    execution.stage = "ended";
    execution.endedAtMs = this.nowMs;
    this.live.delete(execution.id);
    if (execution.request.mergeable) this.#mergeable.delete(execution.request.actionKey);
    for (const id of execution.operations.keys()) this.operations.delete(id);
  }

  abandoned(lease: BookedLease): void {
    lease.execution = undefined;
    lease.abandonedAtMs = this.nowMs;
  }

  /** How many live operations share an execution that another one began. */
  joinedCount(): number {
    let count = 0;
    for (const [id, execution] of this.operations) if (id !== execution.id) count += 1;
    return count;
  }

  /** The live execution that a new operation of the action would share. */
  mergeTarget({ mergeable, actionKey }: Request): BookedExecution | undefined {
    return mergeable ? this.#mergeable.get(actionKey) : undefined;
  }

  serves(agent: BookedAgent, group: BookedGroup): boolean {
    if (!agent.connected || agent.draining) return false;
    let serves = agent.serves.get(group.key);
    if (serves === undefined) {
      serves = canServe(group.wanted, agent.offered);
      agent.serves.set(group.key, serves);
    }
    return serves;
  }

  isMatched(group: BookedGroup): boolean {
    for (const agent of this.agents.values()) if (this.serves(agent, group)) return true;
    return false;
  }

  /** Whether one agent at least would take from the group, had it nothing else to do. It may have less than it offers. */
  isWithinReach(group: BookedGroup): boolean {
    for (const agent of this.agents.values()) {
      const { capacityMilli: has } = agent;
      const isEnough = (["cpu", "memory"] as const).every((name) => amountMilli(group.wanted, name) <= has[name]);
      if (isEnough && agent.maxActions > 0 && this.serves(agent, group)) return true;
    }
    return false;
  }

  /** Whether what the agent's leases leave is enough for one more. */
  hasRoom(agent: BookedAgent, wanted: readonly PlatformProperty[]): boolean {
    if (agent.leases.size >= agent.maxActions) return false;
    return (["cpu", "memory"] as const).every((name) => {
      const amount = amountMilli(wanted, name);
      return amount === 0 || amount <= this.freeMilli(agent, name);
    });
  }

  freeMilli(agent: BookedAgent, name: "cpu" | "memory"): number {
    let free = agent.capacityMilli[name];
    for (const { wanted } of agent.leases.values()) free -= amountMilli(wanted, name);
    return free;
  }

  /** Brings the clocks of groups that nobody serves up to date. */
  checkMatched(groups: Iterable<BookedGroup>): void {
    for (const group of groups) {
      if (group.queued === 0 || this.isMatched(group)) group.unmatchedSinceMs = undefined;
      else group.unmatchedSinceMs ??= this.nowMs;
    }
  }

  /** After a restart: the clock may have gone back and refused platforms are forgotten. */
  restarted(nowMs: number): void {
    this.nowMs = nowMs;
    for (const group of this.groups.values()) group.refusedSinceMs = -Infinity;
    this.spentAtMs.clear();
    for (const { spent, request, endedAtMs } of this.executions.values()) {
      if (!spent) continue;
      // Of two executions of an action the one that was queued first may be the last to end.
      const lastMs = this.spentAtMs.get(request.actionKey) ?? endedAtMs;
      this.spentAtMs.set(request.actionKey, Math.max(lastMs, endedAtMs));
    }
  }

  #reprioritize(execution: BookedExecution, invocationId: string): void {
    let best = Infinity;
    for (const { priority } of execution.operations.values()) best = Math.min(best, priority);
    if (best === execution.priority && invocationId === execution.invocationId) return;
    const change = () => {
      execution.priority = best;
      execution.invocationId = invocationId;
    };
    if (execution.stage === "queued") this.lines.move(execution, change);
    else change();
  }

  #wait(execution: BookedExecution): void {
    execution.stage = "queued";
    this.queued += 1;
    this.group(execution.request).queued += 1;
    this.lines.join(execution);
  }

  #noLongerQueued(execution: BookedExecution): void {
    this.queued -= 1;
    const group = this.group(execution.request);
    group.queued -= 1;
    if (group.queued === 0) group.unmatchedSinceMs = undefined;
  }
}
