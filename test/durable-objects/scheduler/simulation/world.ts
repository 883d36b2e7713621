import type { Decision, SchedulerEvent } from "../../../../durable-objects/scheduler/events.ts";
import { Scheduler } from "../../../../durable-objects/scheduler/scheduler.ts";
import { SchedulerState } from "../../../../durable-objects/scheduler/scheduler-state.ts";
import { Audit, type WorldEvent } from "./audit.ts";
import { Bag } from "./bag.ts";
import { Books } from "./books.ts";
import {
  checkAgreement,
  checkDeadlines,
  checkNobodyWaitsInVain,
  checkResources,
  type Observed,
  StarvationWatch,
} from "./invariants.ts";
import type { Machine, ToAgent } from "./machine.ts";
import { capacityOf } from "./platforms.ts";
import type { Profile } from "./profile.ts";
import { Storage } from "./storage.ts";
import { checkStructure } from "./structure.ts";
import { hold } from "./violation.ts";

/** Ticks that come one right after another; more means that a deadline is met again and again without being gone. */
const MOST_TICKS_AT_ONCE = 10_000;

/**
 * Everything around one scheduler: the wall's clock, storage, sockets, machines and watchers. Each event goes to the
 * scheduler as the Instance object would pass it on, and its decisions are judged and carried out.
 */
export class World {
  readonly profile: Profile;
  readonly books: Books;
  readonly machines = new Bag<Machine>();
  readonly machineById = new Map<string, Machine>();
  /** Machines that may have something to read, to do or to say. */
  readonly busy = new Bag<Machine>();
  /** Machines whose socket is gone without the object having noticed. */
  readonly unnoticed = new Bag<Machine>();
  /** Operations that a client may still have an interest in; those that have ended leave when they are come upon. */
  readonly operations = new Bag<string>();
  readonly unwatched = new Bag<string>();
  /** Results that are on their way to the action cache. */
  readonly publishing = new Bag<string>();
  wallMs = 1_000_000_000;
  /** Called with everything that happens, in words. */
  log: ((line: string) => void) | undefined;
  events = 0;
  #state: SchedulerState;
  #scheduler: Scheduler;
  readonly #storage = new Storage();
  readonly #audit: Audit;
  readonly #starvation = new StarvationWatch();

  constructor(profile: Profile) {
    this.profile = profile;
    this.books = new Books(profile.limits);
    this.#audit = new Audit(this.books);
    this.#state = new SchedulerState(profile.limits);
    this.#scheduler = new Scheduler(profile.limits, this.#state);
  }

  send(event: WorldEvent): void {
    const { books } = this;
    books.nowMs = Math.max(books.nowMs, this.wallMs);
    this.log?.(describeEvent(event, this.wallMs));
    if (changesAgents(event)) this.#starvation.disturbed();
    this.#audit.before(event);
    const decisions = this.#scheduler.step(schedulerEvent(event, this.wallMs));
    this.#carryOut(event, decisions);
  }

  connect(machine: Machine): void {
    this.unnoticed.delete(machine);
    machine.lastHeartbeatMs = this.wallMs;
    machine.connect();
    const agent = machine.describe();
    this.#storage.agents.set(agent.id, agent);
    this.send({ type: "agent_connected", agent, leaseIds: [...machine.held.keys()], offered: machine.offered });
  }

  drain(machine: Machine): void {
    machine.draining = true;
    if (this.#storage.agents.has(machine.id)) this.#storage.agents.set(machine.id, machine.describe());
    this.send({ type: "agent_draining", agentId: machine.id });
  }

  /** Time goes by; the alarm rings whenever something is due, unless it is `late`. */
  pass(durationMs: number, late: boolean): void {
    const untilMs = this.wallMs + durationMs;
    for (let ticks = 0; !late; ticks += 1) {
      hold(ticks < MOST_TICKS_AT_ONCE, "what a tick has met is gone", () => `${ticks} ticks within ${durationMs} ms`);
      const nextMs = this.#scheduler.nextDeadlineMs();
      if (nextMs === undefined || nextMs > untilMs) break;
      this.wallMs = Math.max(this.wallMs, nextMs);
      this.tick();
    }
    // What was due meanwhile did not happen, and who waits for it can't be served.
    if (late) this.#starvation.disturbed();
    this.wallMs = untilMs;
    this.#beat();
  }

  jump(byMs: number): void {
    this.log?.(`the clock jumps by ${byMs} ms`);
    this.#starvation.disturbed();
    this.wallMs += byMs;
  }

  /** Whatever is due by now, after the heartbeats that came without the object. */
  tick(): void {
    this.#beat();
    for (const agentId of [...this.#scheduler.agentsDue(this.wallMs)]) {
      const heardAtMs = this.machineById.get(agentId)?.lastHeartbeatMs;
      if (heardAtMs === undefined) continue;
      this.#audit.heard(agentId, heardAtMs);
      this.#scheduler.step({ type: "agent_heard", agentId, nowMs: heardAtMs });
    }
    this.send({ type: "tick" });
  }

  nextDeadlineMs(): number | undefined {
    return this.#scheduler.nextDeadlineMs();
  }

  /** The object is gone from memory and back: a hibernation keeps the sockets, a crash loses them all. */
  restart(kind: "hibernation" | "crash"): void {
    this.log?.(`${kind}, ${this.wallMs}`);
    const { books } = this;
    if (kind === "crash") {
      for (const machine of this.machines) machine.socket = undefined;
      for (const id of this.operations) this.unwatched.add(id);
    }
    this.unnoticed.clear();
    this.publishing.clear();
    this.#starvation.disturbed();
    this.#state = new SchedulerState(this.profile.limits);
    this.#scheduler = new Scheduler(this.profile.limits, this.#state);
    for (const { id, endedAtMs } of this.#storage.ended.values()) {
      const execution = books.live.get(id);
      if (execution !== undefined) books.ended(execution);
      const ended = books.executions.get(id);
      if (ended !== undefined) ended.endedAtMs = Math.min(endedAtMs, this.wallMs);
    }
    for (const agent of books.agents.values()) {
      const machine = this.machineById.get(agent.id);
      const connected = machine?.socket !== undefined;
      if (connected) agent.lastHeardMs = machine.lastHeartbeatMs;
      else if (agent.connected) agent.lastHeardMs = this.wallMs;
      agent.connected = connected;
      // What it said of its share is forgotten; it answers that it is busy where that matters.
      const description = this.#storage.agents.get(agent.id);
      agent.maxActions = description === undefined || description.maxActions === 0 ? Infinity : description.maxActions;
      agent.capacityMilli = capacityOf(agent.offered);
      agent.draining = this.#storage.agents.get(agent.id)?.draining ?? false;
      for (const lease of agent.leases.values()) if (lease.execution === undefined) agent.leases.delete(lease.id);
    }
    books.restarted(this.wallMs);
    const agents = [...this.#storage.agents.values()].map((description) => {
      const machine = this.machineById.get(description.id);
      const connected = machine?.socket !== undefined;
      return { description, connected, lastHeardMs: connected ? machine.lastHeartbeatMs : this.wallMs };
    });
    const decisions = this.#scheduler.restore(this.wallMs, {
      agents,
      executions: this.#storage.executions.values(),
      ended: [...this.#storage.ended.values()].sort((a, b) => a.endedAtMs - b.endedAtMs),
      clocks: new Map(this.#storage.clocks),
    });
    this.#carryOut({ type: "restored" }, decisions);
    for (const operationId of [...books.operations.keys()]) {
      if (this.unwatched.has(operationId)) this.send({ type: "operation_watched", operationId, watched: false });
    }
  }

  /** Everything is compared with everything. */
  checkAll(isTick: boolean): void {
    const observed: Observed = { scheduler: this.#scheduler, state: this.#state, books: this.books };
    checkAgreement(observed);
    checkResources(observed);
    checkNobodyWaitsInVain(observed);
    checkDeadlines(observed, isTick);
    checkStructure(this.#state);
    this.#starvation.check(observed);
    hold(
      this.#storage.executions.size ===
        [...this.books.live.values()].filter(({ stage }) => stage !== "finishing").length,
      "storage holds what is live",
      () => `${this.#storage.executions.size}`,
    );
  }

  #carryOut(event: WorldEvent, decisions: readonly Decision[]): void {
    for (const decision of decisions) {
      this.log?.(`    ${JSON.stringify(decision)}`);
      this.#audit.decided(event, decision, (id) => this.#scheduler.snapshot(id)?.invocationId);
      this.#storage.keep(decision, this.#scheduler, this.wallMs);
      this.#deliver(decision);
    }
    this.#audit.after(event, decisions);
    this.events += 1;
    if (this.events % this.profile.eventsBetweenFullChecks === 0) this.checkAll(event.type === "tick");
  }

  #deliver(decision: Decision): void {
    switch (decision.type) {
      case "leased":
        this.#tell(decision.agentId, { type: "lease", leaseId: decision.leaseId });
        break;
      case "cancel_lease":
        this.#tell(decision.agentId, { type: "cancel", leaseId: decision.leaseId });
        break;
      case "acknowledge":
        this.#tell(decision.agentId, { type: "acknowledgement", leaseId: decision.leaseId });
        break;
      case "agent_removed": {
        const machine = this.machineById.get(decision.agentId);
        if (machine !== undefined) machine.socket = undefined;
        break;
      }
      case "queued":
        this.operations.add(decision.executionId);
        break;
      case "joined":
        this.operations.add(decision.operationId);
        break;
      case "publish":
        this.publishing.add(decision.executionId);
        break;
      default:
    }
  }

  #tell(agentId: string, message: ToAgent): void {
    const machine = this.machineById.get(agentId);
    if (machine?.socket === undefined) return;
    machine.socket.toAgent.push(message);
    this.busy.add(machine);
  }

  /** Heartbeats that the platform answers by itself. */
  #beat(): void {
    for (const machine of this.machines) {
      if (!machine.hangs && machine.socket !== undefined) machine.lastHeartbeatMs = this.wallMs;
    }
  }
}

/** Whether agents come, go, or change what may be used of them. */
function changesAgents(event: WorldEvent): boolean {
  switch (event.type) {
    case "agent_connected":
    case "agent_disconnected":
    case "agent_draining":
    case "agent_capacity":
      return true;
    case "lease_ended":
      return event.outcome === "handed_back" || event.outcome === "busy";
    default:
      return false;
  }
}

function schedulerEvent(event: WorldEvent, nowMs: number): SchedulerEvent {
  if (event.type === "restored") throw new Error("a restart is no event");
  return { ...event, nowMs };
}

function describeEvent(event: WorldEvent, nowMs: number): string {
  const { type, ...rest } = event;
  const shown: object =
    "requirement" in rest
      ? { ...rest, requirement: undefined }
      : "agent" in rest
        ? { ...rest, agent: rest.agent.id }
        : rest;
  return `${nowMs} ${type} ${JSON.stringify(shown)}`;
}
