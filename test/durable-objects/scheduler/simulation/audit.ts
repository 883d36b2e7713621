import type { Decision, Failure, Happening } from "../../../../durable-objects/scheduler/events.ts";
import { MAX_IDLE_GROUPS, MAX_LEASES_WITH_RETURNS } from "../../../../durable-objects/scheduler/limits.ts";
import type { BookedAgent, BookedExecution, BookedLease, Books, Request } from "./books.ts";
import { capacityOf } from "./platforms.ts";
import { hold } from "./violation.ts";

/** An event as the world sends it: an enqueue with what its requirement was made of. */
export type WorldEvent =
  | Exclude<Happening, { type: "enqueue" | "agent_connected" }>
  | ({ readonly type: "enqueue" } & Request)
  | AgentConnected
  /** The scheduler was restored from storage. */
  | { readonly type: "restored" };

type AgentConnected = Extract<Happening, { type: "agent_connected" }> & {
  readonly offered: Request["wanted"];
};

/** Reasons for which leases end that no decision names. */
const OUTCOMES_WITH_RESULT = new Set(["completed", "timed_out", "refused"]);

/**
 * Judges what the scheduler decides: every decision must be one that the event allows, about things that exist, and in
 * keeping with the books; and what the event demands must have been decided.
 */
export class Audit {
  readonly #books: Books;
  /** Platforms whose queue or agents the event touched. */
  #matchingChanged = false;

  constructor(books: Books) {
    this.#books = books;
  }

  /** To be called before the scheduler sees the event, since what it takes away must not be used in its decisions. */
  before(event: WorldEvent): void {
    const books = this.#books;
    this.#matchingChanged = false;
    switch (event.type) {
      case "agent_connected":
        this.#connect(event);
        break;
      case "agent_disconnected":
        this.#disconnect(books.agents.get(event.agentId), event.left === true);
        break;
      case "agent_draining":
        this.#drain(books.agents.get(event.agentId));
        break;
      case "agent_capacity":
        this.#setCapacity(event);
        break;
      case "lease_progress":
        this.#hear(books.agents.get(event.agentId));
        break;
      case "lease_ended":
        this.#leaseEnded(event);
        break;
      case "operation_watched":
        this.#watched(event);
        break;
      case "tick":
        this.#releaseUnanswered();
        break;
      case "enqueue":
      case "agent_heard":
      case "published":
      case "cancel_operation":
      case "restored":
        break;
    }
  }

  /** @param invocationOf the build that an execution waits with, as the scheduler says */
  decided(event: WorldEvent, decision: Decision, invocationOf: (executionId: string) => string | undefined): void {
    const books = this.#books;
    switch (decision.type) {
      case "queued": {
        const request = requestOf(event);
        hold(
          request.operationId === decision.executionId,
          "queued is about the event's operation",
          () => decision.executionId,
        );
        hold(!books.executions.has(decision.executionId), "no execution comes twice", () => decision.executionId);
        hold(
          books.mergeTarget(request) === undefined,
          "identical actions in flight are merged",
          () => decision.executionId,
        );
        hold(books.queued < books.limits.maxQueuedActions, "the queue is bounded", () => `${books.queued} are queued`);
        hold(
          !this.#isSpent(request),
          "an action that spent its attempts is refused at once",
          () => decision.executionId,
        );
        hold(
          !this.#isRefused(request) || books.groups.size > MAX_IDLE_GROUPS,
          "a platform that nobody serves is refused at once",
          () => decision.executionId,
        );
        books.enqueued(request);
        this.#matchingChanged = true;
        break;
      }
      case "joined": {
        const request = requestOf(event);
        const execution = books.execution(decision.executionId);
        hold(
          request.operationId === decision.operationId,
          "joined is about the event's operation",
          () => decision.operationId,
        );
        hold(!books.operations.has(decision.operationId), "no operation comes twice", () => decision.operationId);
        hold(
          books.mergeTarget(request) === execution,
          "only identical, cacheable actions are merged",
          () => execution.id,
        );
        const invocationId = invocationOf(decision.executionId);
        hold(
          invocationId !== undefined && [execution.invocationId, request.invocationId].includes(invocationId),
          "an execution waits with one of its builds",
          () => execution.id,
        );
        books.joined(execution, request, invocationId);
        break;
      }
      case "refused":
        this.#refused(requestOf(event), decision.failure);
        break;
      case "leased":
        this.#leased(decision.executionId, decision.leaseId, decision.agentId);
        break;
      case "progressed": {
        const { lease } = books.execution(decision.executionId);
        hold(
          event.type === "lease_progress" && lease?.id === event.leaseId,
          "progress is its lease's",
          () => decision.executionId,
        );
        break;
      }
      case "requeued":
        this.#requeued(event, books.execution(decision.executionId));
        break;
      case "publish": {
        const execution = books.execution(decision.executionId);
        hold(
          execution.lease?.id === decision.leaseId,
          "only the lease that an execution has ends it",
          () => decision.leaseId,
        );
        hold(
          event.type === "lease_ended" && event.leaseId === decision.leaseId && OUTCOMES_WITH_RESULT.has(event.outcome),
          "a result is published when it is reported",
          () => decision.leaseId,
        );
        books.finishing(execution);
        break;
      }
      case "completed": {
        const execution = books.execution(decision.executionId);
        hold(
          execution.stage === "finishing",
          "an execution completes once, with its published result",
          () => execution.id,
        );
        books.ended(execution);
        break;
      }
      case "failed":
        this.#failed(event, books.execution(decision.executionId), decision.failure);
        break;
      case "operation_ended": {
        const execution = books.execution(decision.executionId);
        hold(execution.operations.has(decision.operationId), "an operation ends once", () => decision.operationId);
        hold(execution.operations.size > 1, "the last operation ends with its execution", () => decision.operationId);
        this.#checkGivenUp(event, execution, decision.operationId, decision.failure);
        books.operationEnded(execution, decision.operationId);
        break;
      }
      case "cancel_lease":
        this.#leaseCancelled(event, decision.agentId, decision.leaseId);
        break;
      case "acknowledge":
        hold(
          event.type === "lease_ended" && event.leaseId === decision.leaseId && event.agentId === decision.agentId,
          "an acknowledgement answers a report",
          () => decision.leaseId,
        );
        break;
      case "agent_removed":
        this.#agentRemoved(books.agent(decision.agentId));
        break;
      case "forget": {
        const execution = books.executions.get(decision.executionId);
        hold(execution?.stage === "ended", "only what has ended is forgotten, once", () => decision.executionId);
        hold(
          execution.endedAtMs + books.limits.retainCompletedForMs <= books.nowMs,
          "what has ended is kept for a while",
          () => execution.id,
        );
        books.executions.delete(execution.id);
        break;
      }
      case "clock":
        break;
    }
  }

  /** What the event demands. */
  after(event: WorldEvent, decisions: readonly Decision[]): void {
    const books = this.#books;
    if (this.#matchingChanged || decisions.length > 0) books.checkMatched(books.groups.values());
    switch (event.type) {
      case "enqueue":
        hold(
          books.executions.has(event.operationId) ||
            books.operations.has(event.operationId) ||
            decisions.some(({ type }) => type === "refused"),
          "an operation is queued, joined or refused",
          () => event.operationId,
        );
        break;
      case "cancel_operation":
        hold(
          (books.operations.get(event.operationId)?.stage ?? "finishing") === "finishing",
          "a cancelled operation ends",
          () => event.operationId,
        );
        break;
      case "lease_ended":
        hold(
          decisions.some(({ type }) => type === "acknowledge"),
          "every report is acknowledged",
          () => event.leaseId,
        );
        break;
      case "published":
        hold(
          books.live.get(event.executionId)?.stage !== "finishing",
          "what is published completes",
          () => event.executionId,
        );
        break;
      case "agent_connected":
        for (const lease of books.agent(event.agent.id).leases.values()) {
          if (lease.execution !== undefined || !event.leaseIds.includes(lease.id)) continue;
          hold(
            decisions.some((decision) => decision.type === "cancel_lease" && decision.leaseId === lease.id),
            "an agent that comes back is told what nobody wants any more",
            () => lease.id,
          );
        }
        break;
      case "agent_disconnected":
      case "agent_heard":
      case "agent_draining":
      case "agent_capacity":
      case "lease_progress":
      case "operation_watched":
      case "tick":
      case "restored":
        break;
    }
  }

  /** It was alive at `atMs`. */
  heard(agentId: string, atMs: number): void {
    const agent = this.#books.agents.get(agentId);
    if (agent?.connected) agent.lastHeardMs = Math.max(agent.lastHeardMs, atMs);
  }

  #connect({ agent: description, leaseIds, offered }: AgentConnected): void {
    const { agents, nowMs } = this.#books;
    const known = agents.get(description.id);
    const agent: BookedAgent = known ?? {
      id: description.id,
      offered,
      maxActions: 0,
      capacityMilli: { cpu: 0, memory: 0 },
      connected: true,
      draining: false,
      lastHeardMs: nowMs,
      leases: new Map(),
      serves: new Map(),
    };
    agents.set(agent.id, agent);
    agent.offered = offered;
    agent.maxActions = description.maxActions === 0 ? Infinity : description.maxActions;
    agent.capacityMilli = capacityOf(offered);
    agent.draining = description.draining;
    agent.serves.clear();
    this.#setConnected(agent, true);
    this.#hear(agent);
    for (const group of this.#books.groups.values()) {
      if (this.#books.serves(agent, group)) group.refusedSinceMs = -Infinity;
    }
    for (const lease of agent.leases.values()) if (!leaseIds.includes(lease.id)) agent.leases.delete(lease.id);
  }

  /** From now on it has the worker timeout to come back, unless it has left for good. */
  #disconnect(agent: BookedAgent | undefined, left: boolean): void {
    if (left) agent?.leases.clear();
    if (agent?.connected) agent.lastHeardMs = this.#books.nowMs;
    this.#setConnected(agent, false);
  }

  #setConnected(agent: BookedAgent | undefined, connected: boolean): void {
    if (agent === undefined) return;
    agent.connected = connected;
    this.#matchingChanged = true;
  }

  #drain(agent: BookedAgent | undefined): void {
    if (agent === undefined) return;
    agent.draining = true;
    this.#matchingChanged = true;
  }

  #setCapacity({ agentId, maxActions, capacityMilli }: Extract<Happening, { type: "agent_capacity" }>): void {
    const agent = this.#books.agents.get(agentId);
    if (agent === undefined) return;
    agent.maxActions = maxActions;
    const { cpu, memory } = agent.capacityMilli;
    agent.capacityMilli = { cpu: capacityMilli.get("cpu") ?? cpu, memory: capacityMilli.get("memory") ?? memory };
  }

  #hear(agent: BookedAgent | undefined): void {
    if (agent?.connected) agent.lastHeardMs = Math.max(agent.lastHeardMs, this.#books.nowMs);
  }

  #leaseEnded({ agentId, leaseId, outcome }: Extract<Happening, { type: "lease_ended" }>): void {
    const agent = this.#books.agents.get(agentId);
    const lease = agent?.leases.get(leaseId);
    if (agent === undefined || lease === undefined) return;
    this.#hear(agent);
    agent.leases.delete(leaseId);
    if (lease.execution === undefined) return;
    if (outcome === "handed_back") this.#drain(agent);
    if (outcome === "busy") agent.maxActions = Math.min(agent.maxActions, agent.leases.size);
    if (outcome === "infrastructure_failure" || outcome === "cancelled") lease.execution.failures += 1;
  }

  #watched({ operationId, watched }: Extract<Happening, { type: "operation_watched" }>): void {
    const operation = this.#books.operations.get(operationId)?.operations.get(operationId);
    if (operation === undefined) return;
    if (watched) operation.unwatchedSinceMs = undefined;
    else operation.unwatchedSinceMs ??= this.#books.nowMs;
  }

  /** Leases whose cancel nobody answered: the agent's share is free again, and no decision says so. */
  #releaseUnanswered(): void {
    const { agents, limits, nowMs } = this.#books;
    for (const agent of agents.values()) {
      for (const lease of agent.leases.values()) {
        if (lease.execution === undefined && lease.abandonedAtMs + limits.workerTimeoutMs <= nowMs)
          agent.leases.delete(lease.id);
      }
    }
  }

  #leased(executionId: string, leaseId: string, agentId: string): void {
    const books = this.#books;
    const execution = books.execution(executionId);
    const agent = books.agent(agentId);
    const group = books.group(execution.request);
    hold(execution.stage === "queued", "an execution has one lease at a time", () => leaseId);
    hold(leaseId === `${executionId}.${execution.leases + 1}`, "no two leases share an id", () => leaseId);
    hold(agent.connected, "an agent that is not connected gets nothing", () => leaseId);
    hold(!agent.draining, "an agent that drains gets nothing", () => leaseId);
    hold(books.serves(agent, group), "an action runs on an agent that matches", () => `${leaseId} at ${agentId}`);
    hold(
      books.hasRoom(agent, execution.request.wanted),
      "no resource is oversubscribed",
      () => `${leaseId} at ${agentId}`,
    );
    books.leased(execution, leaseId, agent);
  }

  #requeued(event: WorldEvent, execution: BookedExecution): void {
    const { lease } = execution;
    hold(lease !== undefined, "only what was leased is queued again", () => execution.id);
    hold(
      event.type === "tick" || event.type === "lease_ended" || isReturn(event),
      "a lease is taken away for a reason",
      () => event.type,
    );
    if (event.type === "tick") {
      this.#checkTakenAway(lease);
      execution.failures += 1;
    } else if (isReturn(event) && execution.leases > MAX_LEASES_WITH_RETURNS) {
      execution.failures += 1;
    }
    hold(
      execution.failures <= this.#books.limits.maxJobRetries,
      "attempts are capped",
      () => `${execution.id} failed ${execution.failures} times`,
    );
    this.#books.requeued(execution);
    this.#matchingChanged = true;
  }

  /** A tick takes a lease away because its time is over, or its agent has been silent. */
  #checkTakenAway({ id, agent, startedAtMs, timeoutMs, execution }: BookedLease): void {
    const { limits, nowMs } = this.#books;
    hold(
      execution === undefined ||
        startedAtMs + timeoutMs + limits.leaseOverheadMs <= nowMs ||
        agent.lastHeardMs + limits.workerTimeoutMs <= nowMs,
      "a lease is not taken away before its time",
      () => id,
    );
  }

  #refused(request: Request, failure: Failure): void {
    const books = this.#books;
    const { operationId } = request;
    hold(!books.operations.has(operationId), "what was accepted is not refused", () => operationId);
    hold(
      (failure.retryAfterMs !== undefined) === (failure.reason === "queue_full"),
      "a refusal says when to retry if waiting alone may help",
      () => operationId,
    );
    switch (failure.reason) {
      case "queue_full":
        hold(
          (books.mergeTarget(request) === undefined ? books.queued : books.joinedCount()) >=
            books.limits.maxQueuedActions,
          "queue_full is for a full queue",
          () => `${books.queued} are queued`,
        );
        break;
      case "no_agent":
        hold(this.#isRefused(request), "no_agent is for a platform that nobody has served for long", () => operationId);
        break;
      case "attempts_spent":
        hold(this.#isSpent(request), "attempts_spent is for an action that spent its attempts", () => operationId);
        break;
      case "abandoned":
      case "cancelled":
        hold(false, "a new operation is refused for what is the matter", () => failure.reason);
    }
  }

  #failed(event: WorldEvent, execution: BookedExecution, failure: Failure): void {
    const books = this.#books;
    const { lease } = execution;
    switch (failure.reason) {
      case "no_agent": {
        const group = books.group(execution.request);
        const sinceMs = group.unmatchedSinceMs ?? Infinity;
        hold(execution.stage === "queued", "what runs doesn't lack an agent", () => execution.id);
        hold(
          sinceMs + books.limits.noWorkerTimeoutMs <= books.nowMs,
          "no_agent is not said before its time",
          () => execution.id,
        );
        group.refusedSinceMs = books.nowMs;
        break;
      }
      case "attempts_spent":
        hold(lease !== undefined, "attempts are spent by leases", () => execution.id);
        if (event.type === "tick") this.#checkTakenAway(lease);
        if (event.type === "tick" || isReturn(event)) execution.failures += 1;
        hold(execution.failures > books.limits.maxJobRetries, "no attempt is withheld", () => execution.id);
        execution.spent = true;
        books.spentAtMs.set(execution.request.actionKey, books.nowMs);
        break;
      case "abandoned":
      case "cancelled":
        hold(execution.operations.size === 1, "an execution goes on while anybody wants it", () => execution.id);
        for (const id of execution.operations.keys()) this.#checkGivenUp(event, execution, id, failure);
        break;
      case "queue_full":
        hold(false, "what was accepted is not refused", () => execution.id);
    }
    books.ended(execution);
  }

  #checkGivenUp(event: WorldEvent, execution: BookedExecution, operationId: string, { reason }: Failure): void {
    const { limits, nowMs } = this.#books;
    hold(execution.stage !== "finishing", "a result that is there is not thrown away", () => operationId);
    if (reason === "cancelled") {
      hold(
        event.type === "cancel_operation" && event.operationId === operationId,
        "a client's cancel is its own",
        () => operationId,
      );
    } else {
      const sinceMs = execution.operations.get(operationId)?.unwatchedSinceMs ?? Infinity;
      hold(
        reason === "abandoned" && sinceMs + limits.clientActionTimeoutMs <= nowMs,
        "an operation is not abandoned before its time",
        () => operationId,
      );
    }
  }

  #leaseCancelled(event: WorldEvent, agentId: string, leaseId: string): void {
    const agent = this.#books.agent(agentId);
    const lease = agent.leases.get(leaseId);
    if (lease === undefined) {
      const isHeld = event.type === "agent_connected" && event.agent.id === agentId && event.leaseIds.includes(leaseId);
      hold(isHeld, "a cancel is for a lease that the agent has", () => leaseId);
      return;
    }
    const { execution } = lease;
    if (execution === undefined) return;
    hold(
      execution.stage === "ended" || event.type === "tick",
      "a lease that is wanted is not cancelled",
      () => leaseId,
    );
    if (execution.stage !== "ended") this.#checkTakenAway(lease);
    this.#books.abandoned(lease);
  }

  #agentRemoved(agent: BookedAgent): void {
    const { limits, nowMs, agents } = this.#books;
    const isSilent = agent.lastHeardMs + limits.workerTimeoutMs <= nowMs;
    hold(
      isSilent || (!agent.connected && agent.leases.size === 0),
      "an agent is removed when it is silent, or gone with nothing to wait for",
      () => agent.id,
    );
    agents.delete(agent.id);
    this.#matchingChanged = true;
  }

  #isSpent({ actionKey }: Request): boolean {
    const { limits, nowMs, spentAtMs } = this.#books;
    return nowMs < (spentAtMs.get(actionKey) ?? -Infinity) + limits.failureMemoryMs;
  }

  #isRefused(request: Request): boolean {
    const { limits, nowMs } = this.#books;
    const group = this.#books.group(request);
    return nowMs < group.refusedSinceMs + limits.failureMemoryMs && !this.#books.isMatched(group);
  }
}

/** The agent gives a lease back without having spoiled it. */
function isReturn(event: WorldEvent): boolean {
  return (
    event.type === "agent_connected" ||
    (event.type === "agent_disconnected" && event.left === true) ||
    (event.type === "lease_ended" && event.outcome === "handed_back")
  );
}

function requestOf(event: WorldEvent): Request {
  hold(event.type === "enqueue", "an operation comes by an enqueue", () => event.type);
  return event;
}
