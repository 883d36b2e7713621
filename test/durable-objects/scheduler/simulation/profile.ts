import type { SchedulerLimits } from "../../../../durable-objects/scheduler/limits.ts";
import { mix, Random } from "./random.ts";

/** What can happen in a step. */
export type Happens = (typeof USUAL)[number][0];

/** A kind of world. */
export interface Profile {
  readonly name: string;
  readonly limits: SchedulerLimits;
  /** How many machines there are from the start. */
  readonly machines: number;
  readonly mostMachines: number;
  readonly invocations: number;
  readonly priorities: readonly number[];
  /** Machines and actions differ in processors only, and machines take as many actions as fit. */
  readonly plain: boolean;
  /** The fewest processors that a machine has; the most are 8. */
  readonly fewestProcessors: number;
  /** What actions ask for of those. */
  readonly processors: readonly string[];
  /** How many different amounts of memory are asked for: each makes a platform of its own. */
  readonly memorySizes: number;
  readonly maxTimeoutMs: number;
  /** How long a short wait is at most. */
  readonly longestPauseMs: number;
  /** How likely a step is a long wait, not a short one. */
  readonly patience: number;
  readonly weights: readonly (readonly [Happens, number])[];
  /** Whole books are compared after so many events; the rest of the checks come with every event. */
  readonly eventsBetweenFullChecks: number;
}

/** How likely each is, against the others. */
const USUAL = [
  ["execute", 14],
  ["execute_same", 4],
  ["execute_again", 1],
  ["cancel", 3],
  ["client_leaves", 3],
  ["client_returns", 2],
  ["machine_joins", 2],
  ["machine_dies", 1],
  ["machine_leaves", 0.5],
  ["machine_hangs", 1],
  ["machine_wakes", 2],
  ["machine_drains", 0.7],
  ["machine_shares", 1],
  ["socket_breaks", 2],
  ["break_noticed", 3],
  ["machine_reconnects", 4],
  ["machine_reads", 16],
  ["machine_works", 16],
  ["object_reads", 20],
  ["report_replayed", 2],
  ["published", 10],
  ["time_passes", 10],
  ["clock_jumps", 0.3],
  ["hibernation", 1],
  ["crash", 0.3],
] as const;

/** Hardly anything goes wrong: waits and turns can be judged over long times. */
const CALM: Partial<Record<Happens, number>> = {
  cancel: 0.3,
  client_leaves: 0.1,
  machine_joins: 0.3,
  machine_dies: 0.02,
  machine_leaves: 0.02,
  machine_hangs: 0.02,
  machine_drains: 0.02,
  machine_shares: 0.05,
  socket_breaks: 0.05,
  clock_jumps: 0,
  hibernation: 0.2,
  crash: 0.01,
};

/** A few machines that are always full: what needs a whole one must get it all the same. */
const CONTENDED: Partial<Record<Happens, number>> = {
  execute: 120,
  cancel: 0,
  client_leaves: 0,
  machine_joins: 0,
  machine_dies: 0,
  machine_leaves: 0,
  machine_hangs: 0,
  machine_drains: 0,
  machine_shares: 0,
  socket_breaks: 0,
  crash: 0,
  machine_reads: 50,
  machine_works: 70,
  object_reads: 60,
  time_passes: 40,
};

/** The object hardly ever stays in memory from one event to the next. */
const RESTLESS: Partial<Record<Happens, number>> = { hibernation: 25, crash: 0.5, clock_jumps: 0.5, client_returns: 6 };

/** Many arrive, few work. */
const BACKLOG: Partial<Record<Happens, number>> = { execute: 60, machine_joins: 0.5, cancel: 1 };

/** The world that a seed makes. */
export function profileOf(seed: number): Profile {
  const random = new Random(mix(seed, 0));
  const kind =
    random.weighted([
      ["usual", 6],
      ["calm", 3],
      ["restless", 3],
      ["backlog", 2],
      ["contended", 2],
      ["platforms", 1],
      ["crowd", 1],
    ]) ?? "usual";
  const usual = {
    name: kind,
    limits: limits(random),
    machines: random.between(0, 4),
    mostMachines: random.between(1, 24),
    invocations: random.between(1, 5),
    priorities: random.chance(0.5) ? [0] : [-5, 0, 0, 0, 7],
    plain: false,
    fewestProcessors: 1,
    processors: ["0.5", "1", "2", "8"],
    memorySizes: random.between(0, 3),
    maxTimeoutMs: random.between(1, 20_000),
    longestPauseMs: 500,
    patience: 0.1,
    weights: weigh({}),
    eventsBetweenFullChecks: 1,
  };
  switch (kind) {
    case "usual":
      return usual;
    case "calm":
      return { ...usual, weights: weigh(CALM), machines: random.between(1, 6), priorities: [0], patience: 0.02 };
    case "restless":
      return { ...usual, weights: weigh(RESTLESS), patience: 0.1 };
    case "backlog":
      return { ...usual, weights: weigh(BACKLOG), eventsBetweenFullChecks: 20 };
    case "contended":
      return {
        ...usual,
        weights: weigh({ ...CALM, ...CONTENDED }),
        limits: {
          ...usual.limits,
          workerTimeoutMs: 1000,
          leaseOverheadMs: 500,
          maxQueuedActions: 1000,
          reserveAfterMs: 500,
        },
        machines: random.between(1, 2),
        mostMachines: 2,
        plain: true,
        priorities: [0],
        fewestProcessors: 2,
        processors: [...Array<string>(30).fill("0.5"), "2"],
        memorySizes: 0,
        maxTimeoutMs: 500,
        longestPauseMs: 200,
        patience: 0,
      };
    case "platforms":
      return { ...usual, memorySizes: 2000, eventsBetweenFullChecks: 50 };
    case "crowd":
      return {
        ...usual,
        weights: weigh({ ...CALM, machine_hangs: 0.5, machine_dies: 0.5, socket_breaks: 0.5, machine_drains: 0.5 }),
        limits: { ...usual.limits, maxQueuedActions: 50_000 },
        machines: random.between(500, 3000),
        mostMachines: 4000,
        memorySizes: 20,
        eventsBetweenFullChecks: 500,
      };
  }
}

function limits(random: Random): SchedulerLimits {
  return {
    workerTimeoutMs: random.between(1000, 10_000),
    maxJobRetries: random.between(0, 3),
    retainCompletedForMs: random.chance(0.1) ? 0 : random.between(1000, 30_000),
    clientActionTimeoutMs: random.between(1000, 20_000),
    noWorkerTimeoutMs: random.between(1000, 20_000),
    failureMemoryMs: random.between(1000, 20_000),
    maxQueuedActions: random.chance(0.3) ? random.between(1, 10) : 1000,
    allocationStrategy: random.chance(0.5) ? "least_recently_used" : "most_recently_used",
    leaseOverheadMs: random.between(1000, 20_000),
    reserveAfterMs: random.between(0, 10_000),
  };
}

function weigh(differences: Partial<Record<Happens, number>>): Profile["weights"] {
  return USUAL.map(([name, weight]) => [name, differences[name] ?? weight] as const);
}
