import type { LeaseOutcome, LeasePhase } from "../../../../durable-objects/scheduler/events.ts";
import { type PlatformProperty, requirementOf } from "../../../../durable-objects/scheduler/platform.ts";
import { Machine, type Report } from "./machine.ts";
import { capacityOf, RULES } from "./platforms.ts";
import type { Happens, Profile } from "./profile.ts";
import type { Random } from "./random.ts";
import { hold } from "./violation.ts";
import type { World } from "./world.ts";

const PHASES = ["fetching_inputs", "executing", "uploading_outputs"] as const satisfies readonly LeasePhase[];

const OUTCOMES = [
  ["completed", 12],
  ["timed_out", 1],
  ["refused", 1],
  ["infrastructure_failure", 3],
  ["handed_back", 1],
  ["cancelled", 0.5],
  ["busy", 0.5],
] as const satisfies readonly (readonly [LeaseOutcome, number])[];

/** Reports that are remembered, to be sent again when nobody expects them any more. */
const MOST_REPORTS = 50;

/** Lets things happen in a world, by chance. */
export class Happenings {
  readonly #world: World;
  readonly #reports: { readonly agentId: string; readonly report: Report }[] = [];
  #made = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** One step. What can't happen just now doesn't. */
  next(random: Random): void {
    const happens = random.weighted(this.#world.profile.weights);
    if (happens !== undefined) this.#happen(happens, random);
  }

  join(random: Random): void {
    const { machines, machineById } = this.#world;
    const { profile } = this.#world;
    const maxActions = profile.plain ? 0 : random.pick([0, 0, 1, 2, 5]);
    const machine = new Machine(`m${this.#made++}`, offered(random, profile), maxActions ?? 0);
    machines.add(machine);
    machineById.set(machine.id, machine);
    this.#world.connect(machine);
  }

  #happen(happens: Happens, random: Random): void {
    const world = this.#world;
    switch (happens) {
      case "execute":
        this.#execute(random, `action-${this.#made}`);
        return;
      case "execute_same":
        this.#execute(random, this.#knownAction(random));
        return;
      case "execute_again":
        this.#executeAgain(random);
        return;
      case "cancel":
        this.#withOperation(random, (operationId) => {
          world.send({ type: "cancel_operation", operationId });
        });
        return;
      case "client_leaves":
        this.#withOperation(random, (operationId) => {
          world.unwatched.add(operationId);
          world.send({ type: "operation_watched", operationId, watched: false });
        });
        return;
      case "client_returns": {
        const operationId = world.unwatched.pick(random);
        if (operationId === undefined) return;
        world.unwatched.delete(operationId);
        world.send({ type: "operation_watched", operationId, watched: true });
        return;
      }
      case "machine_joins":
        if (world.machines.size < world.profile.mostMachines) this.join(random);
        return;
      case "machine_dies":
        this.#withMachine(random, (machine) => {
          this.#remove(machine);
          world.unnoticed.add(machine);
        });
        return;
      case "machine_leaves":
        this.#withMachine(random, (machine) => {
          this.#remove(machine);
          world.unnoticed.delete(machine);
          world.send({ type: "agent_disconnected", agentId: machine.id, left: true });
        });
        return;
      case "machine_hangs":
        this.#withMachine(random, (machine) => {
          machine.hangs = true;
        });
        return;
      case "machine_wakes":
        this.#withMachine(random, (machine) => {
          machine.hangs = false;
        });
        return;
      case "machine_drains":
        this.#withMachine(random, (machine) => {
          if (machine.socket !== undefined) world.drain(machine);
        });
        return;
      case "socket_breaks":
        this.#withMachine(random, (machine) => {
          if (machine.socket === undefined) return;
          this.#remember(machine);
          machine.socket = undefined;
          world.unnoticed.add(machine);
        });
        return;
      case "break_noticed": {
        const machine = world.unnoticed.pick(random);
        if (machine === undefined) return;
        world.unnoticed.delete(machine);
        world.send({ type: "agent_disconnected", agentId: machine.id });
        return;
      }
      case "machine_reconnects":
        this.#withMachine(random, (machine) => {
          if (!machine.hangs && (machine.socket === undefined || random.chance(0.05))) world.connect(machine);
        });
        return;
      case "machine_shares":
        this.#withMachine(random, (machine) => {
          this.#share(machine, random);
        });
        return;
      case "machine_reads":
        this.#withBusyMachine(random, (machine) => {
          if (!machine.hangs) machine.read();
        });
        return;
      case "machine_works":
        this.#withBusyMachine(random, (machine) => {
          this.#work(machine, random);
        });
        return;
      case "object_reads":
        this.#withBusyMachine(random, (machine) => {
          this.#deliver(machine);
        });
        return;
      case "report_replayed":
        this.#replay(random);
        return;
      case "published": {
        const executionId = world.publishing.pick(random);
        if (executionId !== undefined) this.#published(executionId);
        return;
      }
      case "time_passes": {
        const durationMs = random.chance(world.profile.patience)
          ? random.between(0, 30_000)
          : random.between(0, world.profile.longestPauseMs);
        world.pass(durationMs, random.chance(0.1));
        if (random.chance(0.3)) world.tick();
        return;
      }
      case "clock_jumps":
        world.jump(random.between(-60_000, 60_000));
        return;
      case "hibernation":
      case "crash":
        world.restart(happens);
    }
  }

  /** Every fault is over: whatever is still live must end, within a bounded number of steps. */
  settle(): void {
    const world = this.#world;
    for (const machine of world.machines) {
      machine.hangs = false;
      this.#shareAll(machine);
    }
    const mostRounds = 100 + 10 * world.books.executions.size;
    for (let round = 0; world.nextDeadlineMs() !== undefined || world.books.live.size > 0; round += 1) {
      hold(round < mostRounds, "everything ends", () => `${world.books.live.size} executions are left`);
      for (const machine of world.unnoticed) world.send({ type: "agent_disconnected", agentId: machine.id });
      world.unnoticed.clear();
      for (const machine of world.machines) {
        if (machine.socket === undefined) world.connect(machine);
        while ((machine.socket?.toAgent.length ?? 0) > 0) machine.read();
        for (const leaseId of machine.running()) machine.end(leaseId, "completed");
        while ((machine.socket?.toObject.length ?? 0) > 0) {
          const report = this.#deliver(machine);
          if (report?.type === "lease_ended" && report.outcome === "busy") this.#shareAll(machine);
        }
      }
      for (const executionId of [...world.publishing]) this.#published(executionId);
      const nextMs = world.nextDeadlineMs();
      if (nextMs !== undefined) world.pass(Math.max(0, nextMs - world.wallMs), false);
    }
    world.checkAll(false);
  }

  #execute(random: Random, actionKey: string): void {
    const { profile } = this.#world;
    const operationId = `o${this.#made++}`;
    const wanted = wantedBy(random, profile);
    this.#world.send({
      type: "enqueue",
      operationId,
      actionKey,
      mergeable: random.chance(0.9),
      wanted,
      requirement: requirementOf(wanted, RULES),
      priority: random.pick(profile.priorities) ?? 0,
      invocationId: `build-${random.between(1, profile.invocations)}`,
      timeoutMs: random.between(1, profile.maxTimeoutMs),
      inputRoot: random.chance(0.5) ? `root-${random.between(1, 10)}` : undefined,
      target: random.chance(0.5) ? random.between(1, 10) : undefined,
    });
  }

  #knownAction(random: Random): string {
    const operationId = this.#world.operations.pick(random);
    const execution = operationId === undefined ? undefined : this.#world.books.operations.get(operationId);
    return execution?.request.actionKey ?? `action-${random.between(0, this.#made)}`;
  }

  /** A Worker that lost its socket sends its Enqueue again, perhaps after the end. */
  #executeAgain(random: Random): void {
    const operationId = this.#world.operations.pick(random);
    const execution = operationId === undefined ? undefined : this.#world.books.executions.get(operationId);
    if (execution !== undefined) this.#world.send({ type: "enqueue", ...execution.request });
  }

  #withOperation(random: Random, act: (operationId: string) => void): void {
    const { books, operations, unwatched } = this.#world;
    for (let tries = 0; tries < 10; tries += 1) {
      const operationId = operations.pick(random);
      if (operationId === undefined) return;
      if (books.operations.has(operationId) || random.chance(0.1)) {
        act(operationId);
        return;
      }
      operations.delete(operationId);
      unwatched.delete(operationId);
    }
  }

  /** What the broken socket was carrying may still come, late and out of order. */
  #remember({ id: agentId, socket }: Machine): void {
    for (const report of socket?.toObject ?? []) this.#keepReport({ agentId, report });
  }

  #keepReport(report: { readonly agentId: string; readonly report: Report }): void {
    if (this.#reports.length < MOST_REPORTS) this.#reports.push(report);
    else this.#reports[this.#made % MOST_REPORTS] = report;
  }

  #remove(machine: Machine): void {
    this.#remember(machine);
    this.#world.machines.delete(machine);
    this.#world.machineById.delete(machine.id);
    machine.socket = undefined;
  }

  #withMachine(random: Random, act: (machine: Machine) => void): void {
    const machine = this.#world.machines.pick(random);
    if (machine !== undefined) act(machine);
  }

  #withBusyMachine(random: Random, act: (machine: Machine) => void): void {
    const { busy, machines } = this.#world;
    const machine = busy.pick(random);
    if (machine === undefined) return;
    if (machines.has(machine) && machine.isBusy()) act(machine);
    else busy.delete(machine);
  }

  /** The machine serves other schedulers too, and gives this one another part of itself. */
  #share(machine: Machine, random: Random): void {
    if (machine.socket === undefined) return;
    const { cpu } = capacityOf(machine.offered);
    this.#world.send({
      type: "agent_capacity",
      agentId: machine.id,
      maxActions: random.chance(0.5) ? Infinity : random.between(0, 4),
      capacityMilli: random.chance(0.5) ? new Map() : new Map([["cpu", random.between(0, cpu)]]),
    });
  }

  #shareAll({ id, offered }: Machine): void {
    const capacityMilli = new Map(Object.entries(capacityOf(offered)));
    this.#world.send({ type: "agent_capacity", agentId: id, maxActions: Infinity, capacityMilli });
  }

  #work(machine: Machine, random: Random): void {
    const leaseId = random.pick(machine.running());
    if (leaseId === undefined || machine.hangs) return;
    if (random.chance(0.3)) machine.progress(leaseId, random.pick(PHASES) ?? "executing");
    else machine.end(leaseId, random.weighted(OUTCOMES) ?? "completed");
  }

  /** The object reads what the machine's socket brought. */
  #deliver(machine: Machine): Report | undefined {
    const report = machine.socket?.toObject.shift();
    if (report === undefined) return undefined;
    this.#keepReport({ agentId: machine.id, report });
    this.#world.send({ ...report, agentId: machine.id });
    return report;
  }

  /** An old report comes once more, perhaps from another machine than the one that it is of. */
  #replay(random: Random): void {
    const old = random.pick(this.#reports);
    if (old === undefined) return;
    const agentId = random.chance(0.3) ? (this.#world.machines.pick(random)?.id ?? old.agentId) : old.agentId;
    this.#world.send({ ...old.report, agentId });
  }

  #published(executionId: string): void {
    this.#world.publishing.delete(executionId);
    this.#world.send({ type: "published", executionId });
  }
}

function offered(random: Random, { fewestProcessors, plain }: Profile): PlatformProperty[] {
  if (plain)
    return [
      { name: "cpu", value: "8" },
      { name: "memory", value: "0" },
    ];
  const properties = [
    { name: "os", value: random.chance(0.8) ? "linux" : "mac" },
    { name: "cpu", value: String(random.between(fewestProcessors, 8)) },
    { name: "memory", value: String(random.between(0, 2000)) },
  ];
  if (random.chance(0.5)) properties.push({ name: "image", value: "small" }, { name: "image", value: "large" });
  if (random.chance(0.5)) properties.push({ name: "pool", value: "fast" });
  return properties;
}

function wantedBy(random: Random, { memorySizes, plain, processors }: Profile): PlatformProperty[] {
  if (plain) return [{ name: "cpu", value: random.pick(processors) ?? "1" }];
  const properties: PlatformProperty[] = [];
  if (random.chance(0.7)) properties.push({ name: "os", value: random.chance(0.9) ? "linux" : "mac" });
  if (random.chance(0.7)) properties.push({ name: "cpu", value: random.pick(processors) ?? "1" });
  if (memorySizes > 0) properties.push({ name: "memory", value: String(random.between(0, memorySizes)) });
  if (random.chance(0.1)) properties.push({ name: "image", value: random.pick(["small", "large", "none"]) ?? "small" });
  if (random.chance(0.1)) properties.push({ name: "pool", value: "any" });
  return properties;
}
