import { PUBLISH_TIMEOUT_MS } from "../../../../durable-objects/scheduler/limits.ts";
import type { Scheduler } from "../../../../durable-objects/scheduler/scheduler.ts";
import type { SchedulerState } from "../../../../durable-objects/scheduler/scheduler-state.ts";
import type { BookedExecution, Books } from "./books.ts";
import { hold } from "./violation.ts";

/** What the world looks at: the scheduler by its front door, and its state where the front door shows nothing. */
export interface Observed {
  readonly scheduler: Scheduler;
  readonly state: SchedulerState;
  readonly books: Books;
}

/** Nothing is lost, and nothing is left over: what the scheduler knows is what the books say. */
export function checkAgreement({ scheduler, books }: Observed): void {
  const ids = new Set(scheduler.executionIds());
  hold(
    ids.size === books.live.size,
    "no execution is lost or left over",
    () => `${ids.size} of ${books.live.size} are there`,
  );
  for (const execution of books.live.values()) {
    const { id, lease } = execution;
    const snapshot = scheduler.snapshot(id);
    hold(ids.has(id) && snapshot !== undefined, "no execution is lost", () => id);
    hold(snapshot.lease?.id === lease?.id, "an execution has the lease that it was given", () => id);
    hold(snapshot.lease?.agentId === lease?.agent.id, "a lease is at the agent that it was given to", () => id);
    hold(
      lease === undefined || lease.agent.leases.get(lease.id) === lease,
      "a lease is at an agent that is known",
      () => id,
    );
    hold(snapshot.failures.length === execution.failures, "a failed attempt counts once", () => id);
    hold(
      snapshot.operations.length === execution.operations.size &&
        snapshot.operations.every(({ id: operationId }) => execution.operations.has(operationId)),
      "no operation is lost",
      () => id,
    );
    for (const operationId of execution.operations.keys()) {
      hold(scheduler.executionOf(operationId) === id, "an operation is found while it is live", () => operationId);
    }
  }
}

/** What leases use of an agent is taken from it, and given back. */
export function checkResources({ state, books }: Observed): void {
  for (const agent of books.agents.values()) {
    const known = state.agents.get(agent.id);
    hold(known !== undefined, "no agent is lost", () => agent.id);
    hold(known.leases.size === agent.leases.size, "no lease is lost or left over", () => agent.id);
    for (const name of ["cpu", "memory"] as const) {
      const free = books.freeMilli(agent, name);
      hold(
        known.freeMilli.get(name) === free,
        "what leases use is given back",
        () => `${agent.id}: ${free} of ${name}`,
      );
    }
  }
}

/** Nothing waits while an agent has room for it and isn't kept for something greater. */
export function checkNobodyWaitsInVain({ state, books }: Observed): void {
  for (const group of books.groups.values()) {
    if (group.queued === 0) continue;
    for (const agent of books.agents.values()) {
      if (!books.serves(agent, group) || !books.hasRoom(agent, group.wanted)) continue;
      const keptFor = state.agents.get(agent.id)?.reservedFor?.requirement.key;
      hold(
        keptFor !== undefined && keptFor !== group.key,
        "nothing waits while an agent has room",
        () => `${agent.id} could take one of ${group.key}`,
      );
    }
  }
}

/** Every deadline is known before it comes, and none has been let pass. */
export function checkDeadlines({ scheduler, books }: Observed, isTick: boolean): void {
  const { nowMs } = books;
  const nextMs = scheduler.nextDeadlineMs() ?? Infinity;
  if (isTick)
    hold(nextMs > nowMs, "a tick leaves nothing overdue", () => `the next deadline is ${nextMs - nowMs} ms away`);
  for (const [dueMs, what, id] of duties(books)) {
    hold(nextMs <= dueMs, `the alarm is in time for ${what}`, () => `${id}, by ${nextMs - dueMs} ms`);
    hold(!isTick || dueMs > nowMs, `the deadline is kept of ${what}`, () => `${id} was due ${nowMs - dueMs} ms ago`);
  }
}

/** Everything that must happen at a time, and when at the latest. */
function* duties({ limits, executions, live, agents, groups }: Books): Iterable<readonly [number, string, string]> {
  for (const { stage, endedAtMs, id } of executions.values()) {
    if (stage === "ended") yield [endedAtMs + limits.retainCompletedForMs, "forgetting", id];
  }
  for (const { stage, operations, finishingSinceMs, id } of live.values()) {
    if (stage === "finishing") {
      yield [finishingSinceMs + PUBLISH_TIMEOUT_MS, "completing", id];
      continue;
    }
    for (const operation of operations.values()) {
      if (operation.unwatchedSinceMs === undefined) continue;
      yield [operation.unwatchedSinceMs + limits.clientActionTimeoutMs, "abandoning", operation.id];
    }
  }
  for (const { leases, lastHeardMs, id } of agents.values()) {
    if (leases.size > 0) yield [lastHeardMs + limits.workerTimeoutMs, "losing", id];
    for (const lease of leases.values()) {
      yield lease.execution === undefined
        ? [lease.abandonedAtMs + limits.workerTimeoutMs, "giving up", lease.id]
        : [lease.startedAtMs + lease.timeoutMs + limits.leaseOverheadMs, "ending", lease.id];
    }
  }
  for (const { unmatchedSinceMs, key } of groups.values()) {
    if (unmatchedSinceMs !== undefined) yield [unmatchedSinceMs + limits.noWorkerTimeoutMs, "refusing", key];
  }
}

/** Notices when the execution that agents should take before any other isn't taken for too long. */
export class StarvationWatch {
  #first: { readonly execution: BookedExecution; readonly sinceMs: number } | undefined;

  /** Agents came or went, the clock jumped, or the alarm was late: the wait begins anew. */
  disturbed(): void {
    this.#first = undefined;
  }

  check({ state, books }: Observed): void {
    let first: BookedExecution | undefined;
    for (const group of state.groups.all()) {
      const head = group.queue.first;
      const execution = head && books.live.get(head.id);
      const booked = books.groups.get(group.requirement.key);
      if (execution === undefined || booked === undefined || !books.isWithinReach(booked)) continue;
      if (first === undefined || comesBefore(execution, first)) first = execution;
    }
    if (first === undefined || first !== this.#first?.execution) {
      this.#first = first && { execution: first, sinceMs: books.nowMs };
      return;
    }
    const waitedMs = books.nowMs - this.#first.sinceMs;
    hold(
      waitedMs <= longestWaitMs(books),
      "what comes first is not starved",
      () => `${first.id} has waited for ${waitedMs} ms`,
    );
  }
}

/** The wait until an agent is kept for it; then what runs there must end; as long again for another one's reservation. */
function longestWaitMs({ limits, live }: Books): number {
  let longestTimeoutMs = 0;
  for (const { request } of live.values()) longestTimeoutMs = Math.max(longestTimeoutMs, request.timeoutMs);
  const leaseMs = longestTimeoutMs + limits.leaseOverheadMs + limits.workerTimeoutMs;
  return limits.reserveAfterMs + 4 * leaseMs;
}

function comesBefore(a: BookedExecution, b: BookedExecution): boolean {
  return a.priority < b.priority || (a.priority === b.priority && a.arrival < b.arrival);
}
