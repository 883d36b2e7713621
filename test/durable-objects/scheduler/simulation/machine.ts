import type { AgentDescription, LeaseOutcome, LeasePhase } from "../../../../durable-objects/scheduler/events.ts";
import { offerOf, type PlatformProperty } from "../../../../durable-objects/scheduler/platform.ts";
import { RULES } from "./platforms.ts";

/** What the object says to an agent. */
export type ToAgent = { readonly type: "lease" | "cancel" | "acknowledgement"; readonly leaseId: string };

/** What an agent says to the object. */
export type Report =
  | { readonly type: "lease_progress"; readonly leaseId: string; readonly phase: LeasePhase }
  | {
      readonly type: "lease_ended";
      readonly leaseId: string;
      readonly outcome: LeaseOutcome;
      readonly message: string;
    };

/** Messages arrive in their order, or are lost together with the socket. */
export interface Socket {
  readonly toAgent: ToAgent[];
  readonly toObject: Report[];
}

/** A build machine, with the part of an agent's behaviour that the protocol prescribes. */
export class Machine {
  readonly id: string;
  readonly offered: readonly PlatformProperty[];
  readonly maxActions: number;
  readonly inputRoots: string[] = [];
  socket: Socket | undefined;
  /** It hangs: it says nothing, not even a heartbeat, and reads nothing. */
  hangs = false;
  draining = false;
  /** When it last gave a sign of life, as the platform noted it. */
  lastHeartbeatMs = 0;
  /** Leases that it has, and how those ended that did. */
  readonly held = new Map<string, LeaseOutcome | undefined>();

  constructor(id: string, offered: readonly PlatformProperty[], maxActions: number) {
    this.id = id;
    this.offered = offered;
    this.maxActions = maxActions;
  }

  describe(): AgentDescription {
    return {
      id: this.id,
      name: `name-of-${this.id}`,
      offer: offerOf(this.offered, RULES),
      maxActions: this.maxActions,
      draining: this.draining,
      inputRoots: [...this.inputRoots],
    };
  }

  /** Opens a socket; what ended and was not acknowledged is reported again. */
  connect(): void {
    this.socket = { toAgent: [], toObject: [] };
    for (const [leaseId, outcome] of this.held) if (outcome !== undefined) this.#report(leaseId, outcome);
  }

  /** Reads one message of the object. */
  read(): void {
    const message = this.socket?.toAgent.shift();
    if (message === undefined) return;
    const { type, leaseId } = message;
    if (type === "lease") this.held.set(leaseId, undefined);
    else if (type === "acknowledgement") this.held.delete(leaseId);
    else if (this.held.has(leaseId) && this.held.get(leaseId) === undefined) this.end(leaseId, "cancelled");
  }

  isBusy(): boolean {
    return (
      this.held.size > 0 || (this.socket !== undefined && this.socket.toAgent.length + this.socket.toObject.length > 0)
    );
  }

  running(): string[] {
    return [...this.held].filter(([, outcome]) => outcome === undefined).map(([leaseId]) => leaseId);
  }

  progress(leaseId: string, phase: LeasePhase): void {
    this.socket?.toObject.push({ type: "lease_progress", leaseId, phase });
  }

  end(leaseId: string, outcome: LeaseOutcome): void {
    this.held.set(leaseId, outcome);
    this.#report(leaseId, outcome);
  }

  #report(leaseId: string, outcome: LeaseOutcome): void {
    this.socket?.toObject.push({ type: "lease_ended", leaseId, outcome, message: `${leaseId} ended: ${outcome}` });
  }
}
