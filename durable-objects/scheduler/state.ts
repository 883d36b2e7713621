import type { LeasePhase } from "./events.ts";
import type { FairQueue, QueueItem } from "./fair-queue.ts";
import type { HeapItem, IndexedHeap } from "./indexed-heap.ts";
import type { Linked, LinkedList } from "./linked-list.ts";
import type { Offer, Requirement } from "./platform.ts";

/** Something that must happen at a time. */
export interface Deadline extends HeapItem {
  readonly atMs: number;
  readonly subject:
    | { readonly of: "lease"; readonly lease: Lease }
    | { readonly of: "silence"; readonly agent: Agent }
    | { readonly of: "unmatched"; readonly group: Group }
    | { readonly of: "abandonment"; readonly operation: Operation }
    | { readonly of: "publication"; readonly execution: Execution };
}

export type Deadlines = IndexedHeap<Deadline>;

/** One client's Execute. */
export interface Operation {
  readonly id: string;
  readonly execution: Execution;
  readonly priority: number;
  /** Set while no client waits for it. */
  abandonment: Deadline | undefined;
}

/** The work that one or more operations wait for. */
export interface Execution extends QueueItem<Execution> {
  /** Also the id of its first operation. */
  readonly id: string;
  readonly actionKey: string;
  readonly mergeable: boolean;
  readonly group: Group;
  readonly timeoutMs: number;
  readonly inputRoot: string | undefined;
  readonly queuedAtMs: number;
  readonly operations: Operation[];
  /** `finishing`: it has a result, which is being made durable. */
  stage: "queued" | "leased" | "finishing";
  lease: Lease | undefined;
  /** Set while it is finishing. */
  publication: Deadline | undefined;
  /** How many leases it had; part of the lease's id. */
  leaseCount: number;
  /** One line for each attempt that failed; undefined before the first. */
  failures: string[] | undefined;
}

/** An execution at an agent. */
export interface Lease {
  readonly id: string;
  readonly agent: Agent;
  readonly group: Group;
  /** Undefined when nobody wants it any more: its processes may still run, so it still uses the agent up. */
  execution: Execution | undefined;
  phase: LeasePhase | undefined;
  readonly startedAtMs: number;
  deadline: Deadline | undefined;
}

export interface Agent {
  readonly id: string;
  name: string;
  offer: Offer;
  /** How many leases it may have now; Infinity for as many as the minimum properties allow. */
  maxActions: number;
  connected: boolean;
  /** It has no socket, and the clock of its return runs. */
  awaited: boolean;
  draining: boolean;
  lastHeardMs: number;
  /** How much of each minimum property this scheduler may use, in thousandths. */
  capacityMilli: ReadonlyMap<string, number>;
  /** What is left of each minimum property, in thousandths. */
  readonly freeMilli: Map<string, number>;
  readonly leases: Map<string, Lease>;
  /** Of the groups that it can serve; empty while it is disconnected or draining. */
  readonly memberships: Membership[];
  /** Set while it has leases. */
  silence: Deadline | undefined;
  /** It takes nothing else until that group's next execution fits here. */
  reservedFor: Group | undefined;
  /** Keys of the input roots that it has; the newest last. */
  readonly inputRoots: Set<string>;
}

/** An agent in a group that it can serve. */
export interface Membership extends Linked<Membership> {
  readonly agent: Agent;
  readonly group: Group;
  /** Whether it could take an execution of the group right now, and so is in `group.available`. */
  available: boolean;
}

/** The executions that ask for the same platform. */
export interface Group extends Linked<Group> {
  readonly requirement: Requirement;
  readonly queue: FairQueue<Execution>;
  readonly members: Set<Membership>;
  /** Members that could take an execution now, the least recently used first. Empty while anything is queued. */
  readonly available: LinkedList<Membership>;
  /** Executions queued, leased or finishing. At zero the group is idle, and is kept only among the last few of those. */
  executions: number;
  /** Set while executions wait and no agent could serve them. */
  unmatched: Deadline | undefined;
  /** New executions are refused until then, with this message, unless an agent joins. */
  refusal: { readonly untilMs: number; readonly message: string } | undefined;
  reservedAgent: Agent | undefined;
}
