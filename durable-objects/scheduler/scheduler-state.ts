import { Agents } from "./agents.ts";
import { startClock, stopClock, unmatchedClock } from "./clocks.ts";
import { EndedExecutions } from "./ended-executions.ts";
import type { Decision } from "./events.ts";
import { Groups } from "./groups.ts";
import { IndexedHeap } from "./indexed-heap.ts";
import { MAX_REMEMBERED_FAILURES, type SchedulerLimits } from "./limits.ts";
import { dissolve, join } from "./memberships.ts";
import { describeMismatch, type Requirement } from "./platform.ts";
import type { Deadline, Execution, Group, Operation } from "./state.ts";

/** Everything that a scheduler knows, and the small steps that the parts of it share. */
export class SchedulerState {
  readonly limits: SchedulerLimits;
  readonly agents = new Agents();
  readonly groups = new Groups();
  /** Live executions: queued, leased or finishing. */
  readonly executions = new Map<string, Execution>();
  /** Live operations that are not their execution's first: a first one is found by the execution's id. */
  readonly joined = new Map<string, Operation>();
  /** By action key, the execution that a new operation may join. */
  readonly mergeable = new Map<string, Execution>();
  readonly ended = new EndedExecutions();
  /** By action key, actions that spent their attempts a short while ago; the oldest first. */
  readonly spent = new Map<string, { readonly untilMs: number; readonly message: string }>();
  readonly deadlines = new IndexedHeap<Deadline>((a, b) => a.atMs < b.atMs);
  /** Clocks that ran before a restart and that nothing has taken over yet. */
  restoredClocks = new Map<string, number>();
  queued = 0;
  nextSequence = 0;
  nowMs = 0;
  #decisions: Decision[] = [];

  constructor(limits: SchedulerLimits) {
    this.limits = limits;
  }

  decide(decision: Decision): void {
    this.#decisions.push(decision);
  }

  takeDecisions(): Decision[] {
    const decisions = this.#decisions;
    this.#decisions = [];
    return decisions;
  }

  /** Sets a new deadline. */
  await(deadline: Deadline): Deadline {
    this.deadlines.push(deadline);
    return deadline;
  }

  clear(deadline: Deadline | undefined): void {
    if (deadline !== undefined) this.deadlines.remove(deadline);
  }

  operation(id: string): Operation | undefined {
    const first = this.executions.get(id)?.operation;
    return first?.id === id ? first : this.joined.get(id);
  }

  /** The group of a requirement; a new one knows its agents at once. */
  group(requirement: Requirement): Group {
    const known = this.groups.get(requirement.key);
    if (known !== undefined) return known;
    const group = this.groups.add(requirement);
    for (const agent of this.agents.all()) join(agent, group);
    this.#dissolveIdle();
    return group;
  }

  /** One execution of the group less. */
  leaveGroup(group: Group): void {
    this.groups.leave(group);
    this.#dissolveIdle();
  }

  /** Starts or stops the clock of a group that nobody can serve. */
  checkMatched(group: Group): void {
    if (group.members.length > 0) group.refusal = undefined;
    const isUnmatched = group.members.length === 0 && group.queue.size > 0;
    if (isUnmatched === (group.unmatched !== undefined)) return;
    const clock = unmatchedClock(group.requirement.key);
    if (isUnmatched) {
      const untilMs = startClock(this, clock) + this.limits.noWorkerTimeoutMs;
      group.unmatched = this.await({ atMs: untilMs, duty: "refuse_group", subject: group, heapIndex: -1 });
    } else {
      this.clear(group.unmatched);
      group.unmatched = undefined;
      stopClock(this, clock);
    }
  }

  describeMismatch(group: Group): string {
    const offers = [...this.agents.all()].filter(({ connected, draining }) => connected && !draining);
    return describeMismatch(
      group.requirement,
      offers.map(({ offer }) => offer),
    );
  }

  rememberSpent(actionKey: string, message: string, untilMs: number): void {
    for (const [key, { untilMs: oldUntilMs }] of this.spent) {
      if (oldUntilMs > this.nowMs && this.spent.size < MAX_REMEMBERED_FAILURES) break;
      this.spent.delete(key);
    }
    this.spent.delete(actionKey);
    this.spent.set(actionKey, { untilMs, message });
  }

  #dissolveIdle(): void {
    const group = this.groups.evict();
    if (group !== undefined) dissolve(group);
  }
}
