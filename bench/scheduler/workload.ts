import { randomUUID } from "node:crypto";
import type { AgentDescription, Decision, Happening } from "../../durable-objects/scheduler/events.ts";
import type { SchedulerLimits } from "../../durable-objects/scheduler/limits.ts";
import {
  offerOf,
  type PlatformRules,
  type Requirement,
  requirementOf,
} from "../../durable-objects/scheduler/platform.ts";
import { Scheduler } from "../../durable-objects/scheduler/scheduler.ts";

/** The size of a scheduler that is measured. */
export interface Size {
  readonly queued: number;
  readonly agents: number;
  readonly groups: number;
  /** Builds that take turns. */
  readonly invocations: number;
}

const LIMITS: SchedulerLimits = {
  workerTimeoutMs: 60_000,
  maxJobRetries: 3,
  retainCompletedForMs: 10_000,
  clientActionTimeoutMs: 60_000,
  noWorkerTimeoutMs: 30_000,
  failureMemoryMs: 30_000,
  maxQueuedActions: 2_000_000,
  allocationStrategy: "least_recently_used",
  leaseOverheadMs: 30 * 60_000,
  reserveAfterMs: 10_000,
};

const RULES: PlatformRules = {
  kinds: new Map([
    ["OSFamily", "exact"],
    ["image", "exact"],
    ["cpu_count", "minimum"],
  ]),
  unlisted: "exact",
};

const SLOTS = 4;
const TIMEOUT_MS = 20 * 60_000;

/**
 * A scheduler whose agents are all full and whose queue has a given length, and the life of actions on it: each that ends
 * makes room for the next, and one more comes in.
 */
export class Workload {
  readonly #scheduler = new Scheduler(LIMITS);
  readonly #size: Size;
  readonly #requirements: readonly Requirement[];
  readonly #invocations: readonly string[];
  /** What runs, the longest running first, from `#oldest` on. */
  readonly #leases: { agentId: string; leaseId: string }[] = [];
  #oldest = 0;
  readonly #prepared: Happening[] = [];
  #arrived = 0;
  #nowMs = 1_000_000;
  #events = 0;

  constructor(size: Size) {
    this.#size = size;
    this.#requirements = Array.from({ length: size.groups }, (_, index) =>
      requirementOf(
        [
          { name: "OSFamily", value: "linux" },
          { name: "image", value: `image-${index}` },
          { name: "cpu_count", value: "1" },
        ],
        RULES,
      ),
    );
    this.#invocations = Array.from({ length: size.invocations }, () => received(randomUUID()));
    for (let index = 0; index < size.agents; index += 1) this.#step(this.#agent(index));
    for (let index = 0; index < size.agents * SLOTS; index += 1) this.#enqueue();
  }

  /** Fills the queue. */
  fill(): void {
    for (let index = 0; index < this.#size.queued; index += 1) this.#enqueue();
  }

  /** Executes that are still to come, made beforehand so that making them is not measured. */
  prepare(actions: number): void {
    while (this.#prepared.length < actions) this.#prepared.push(this.#request());
  }

  /** Lets so many actions end as were prepared, and as many come in. Returns how many events that took. */
  run(): number {
    const before = this.#events;
    for (let count = this.#prepared.length; count > 0; count -= 1) {
      const lease = this.#leases[this.#oldest];
      if (lease === undefined) throw new Error("nothing runs");
      this.#oldest += 1;
      this.#nowMs += 1;
      this.#step({ type: "lease_progress", ...lease, phase: "executing" });
      this.#step({ type: "lease_ended", ...lease, outcome: "completed", message: "" });
      this.#enqueue();
      const deadlineMs = this.#scheduler.nextDeadlineMs();
      if (deadlineMs !== undefined && deadlineMs <= this.#nowMs) this.#step({ type: "tick" });
      if (this.#oldest > 100_000) {
        this.#leases.splice(0, this.#oldest);
        this.#oldest = 0;
      }
    }
    return this.#events - before;
  }

  #enqueue(): void {
    this.#step(this.#prepared.pop() ?? this.#request());
  }

  #request(): Happening {
    const index = this.#arrived++;
    const requirement = this.#requirements[index % this.#requirements.length];
    const invocationId = this.#invocations[index % this.#invocations.length];
    if (requirement === undefined || invocationId === undefined) throw new Error("no groups or no invocations");
    const hash = hex64(index);
    return {
      type: "enqueue",
      operationId: received(randomUUID()),
      actionKey: received(`SHA256/${hash}/142/${TIMEOUT_MS}`),
      mergeable: true,
      requirement,
      priority: 0,
      invocationId: received(invocationId),
      timeoutMs: TIMEOUT_MS,
      inputRoot: received(`${hash}/83`),
      target: index & 0x3fffffff,
    };
  }

  #agent(index: number): Happening {
    const agent: AgentDescription = {
      id: received(randomUUID()),
      name: `machine-${index}`,
      offer: offerOf(
        [
          { name: "OSFamily", value: "linux" },
          { name: "cpu_count", value: String(SLOTS) },
          ...this.#requirements.map((_, image) => ({ name: "image", value: `image-${image}` })),
        ],
        RULES,
      ),
      maxActions: 0,
      draining: false,
      inputRoots: [],
    };
    return { type: "agent_connected", agent, leaseIds: [] };
  }

  #step(happening: Happening): void {
    this.#events += 1;
    this.#carryOut(this.#scheduler.step({ ...happening, nowMs: this.#nowMs }));
  }

  #carryOut(decisions: readonly Decision[]): void {
    for (const decision of decisions) {
      if (decision.type === "leased") {
        this.#leases.push({ agentId: decision.agentId, leaseId: decision.leaseId });
      } else if (decision.type === "publish") {
        this.#step({ type: "published", executionId: decision.executionId });
      }
    }
  }
}

/** A string of its own, as one that was decoded from a message is. */
function received(text: string): string {
  return Buffer.from(text).toString();
}

function hex64(index: number): string {
  return index.toString(16).padStart(64, "0");
}
