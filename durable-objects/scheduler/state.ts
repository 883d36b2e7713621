import type { LeasePhase } from "./events.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { HeapItem, IndexedHeap } from "./indexed-heap.ts";
import type { Linked, LinkedList } from "./linked-list.ts";
import type { QueueItem } from "./queue-level.ts";
import type { Offer, Requirement } from "./platform.ts";

/** Something that must happen at a time. */
export type Deadline = HeapItem & { readonly atMs: number } & Duty;

/** What must happen then, and to whom. */
export type Duty =
  | { readonly duty: "end_lease"; readonly subject: Lease }
  | { readonly duty: "lose_agent"; readonly subject: Agent }
  | { readonly duty: "refuse_group"; readonly subject: Group }
  | { readonly duty: "abandon_operation"; readonly subject: Operation }
  | { readonly duty: "complete_execution"; readonly subject: Execution };

export type Deadlines = IndexedHeap<Deadline>;

/** One client's Execute. */
export interface Operation {
  readonly id: string;
  readonly execution: Execution;
  readonly priority: number;
  /** Set while no client waits for it. */
  abandonment: Deadline | undefined;
  /** Another one that shares the execution. */
  next: Operation | undefined;
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
  /** What the action is a part of, by its client's word: actions of one target have most of their inputs in common. */
  readonly target: number | undefined;
  readonly queuedAtMs: number;
  /** Those that wait for it, as a chain: most have one only, and an array would take as much memory again. */
  operation: Operation | undefined;
  /** `finishing`: it has a result, which is being made durable. */
  stage: "queued" | "leased" | "finishing";
  /** Where it runs; while it is finishing, what gave its result. */
  lease: Lease | undefined;
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
  /** Of its end; once it has given a result, of that result's way to the action cache. */
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
  /** The groups of `memberships`, in the same order: looked through for every lease, without a look at those. */
  readonly groups: Group[];
  /** How many of `memberships` are available. */
  availableIn: number;
  /** Set while it has leases. It may be early: what was heard since then is looked at when it comes. */
  silence: Deadline | undefined;
  /** It takes nothing else until that group's next execution fits here. */
  reservedFor: Group | undefined;
  /** How often it has said what it is and has. */
  descriptions: number;
}

/** An agent in a group that it can serve. */
export interface Membership extends Linked<Membership> {
  readonly agent: Agent;
  readonly group: Group;
  /** Its place in `agent.memberships` and in `group.members`. */
  indexInAgent: number;
  indexInGroup: number;
  /** Whether it could take an execution of the group right now, and so is in `group.available`. */
  available: boolean;
}

/** The executions that ask for the same platform. */
export interface Group extends Linked<Group> {
  readonly requirement: Requirement;
  readonly queue: FairQueue<Execution>;
  readonly members: Membership[];
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
