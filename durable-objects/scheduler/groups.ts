import { FairQueue } from "./fair-queue.ts";
import { LinkedList } from "./linked-list.ts";
import { MAX_IDLE_GROUPS } from "./limits.ts";
import type { Requirement } from "./platform.ts";
import type { Group } from "./state.ts";

/** The platform groups by key. Idle ones are kept for a while, since matching agents to a new group costs O(agents). */
export class Groups {
  readonly #groups = new Map<string, Group>();
  /** The longest idle first. */
  readonly #idle = new LinkedList<Group>();

  all(): Iterable<Group> {
    return this.#groups.values();
  }

  get(key: string): Group | undefined {
    return this.#groups.get(key);
  }

  /** A new group, without executions and members. */
  add(requirement: Requirement): Group {
    const group: Group = {
      requirement,
      queue: new FairQueue(),
      members: [],
      available: new LinkedList(),
      executions: 0,
      unmatched: undefined,
      refusal: undefined,
      reservedAgent: undefined,
      previous: undefined,
      next: undefined,
    };
    this.#groups.set(requirement.key, group);
    this.#idle.append(group);
    return group;
  }

  /** Counts an execution of the group in. */
  enter(group: Group): void {
    if (group.executions === 0) this.#idle.remove(group);
    group.executions += 1;
  }

  /** Counts an execution of the group out. */
  leave(group: Group): void {
    group.executions -= 1;
    if (group.executions === 0) this.#idle.append(group);
  }

  /** Takes out and returns the group that has been idle longest, if there are more idle ones than are kept. */
  evict(): Group | undefined {
    const oldest = this.#idle.first;
    if (oldest === undefined || this.#idle.size <= MAX_IDLE_GROUPS) return undefined;
    this.#idle.remove(oldest);
    this.#groups.delete(oldest.requirement.key);
    return oldest;
  }
}
