import type { AgentDescription, Decision } from "../../../../durable-objects/scheduler/events.ts";
import type { Scheduler } from "../../../../durable-objects/scheduler/scheduler.ts";
import type { EndedSnapshot, ExecutionSnapshot } from "../../../../durable-objects/scheduler/snapshot.ts";

/** What outlives a restart: exactly what the decisions said must be kept, as the Instance object does it. */
export class Storage {
  readonly executions = new Map<string, ExecutionSnapshot>();
  readonly ended = new Map<string, EndedSnapshot>();
  readonly agents = new Map<string, AgentDescription>();
  readonly clocks = new Map<string, number>();

  keep(decision: Decision, scheduler: Scheduler, wallMs: number): void {
    switch (decision.type) {
      case "queued":
      case "joined":
      case "leased":
      case "requeued":
      case "operation_ended": {
        // A result that is there already must outlive an operation that joins late.
        if (this.ended.has(decision.executionId)) break;
        const snapshot = scheduler.snapshot(decision.executionId);
        if (snapshot !== undefined) this.executions.set(snapshot.id, snapshot);
        break;
      }
      case "publish":
        this.#end(decision.executionId, wallMs, undefined);
        break;
      case "failed":
        this.#end(
          decision.executionId,
          wallMs,
          decision.failure.reason === "attempts_spent" ? decision.failure.message : undefined,
        );
        break;
      case "forget":
        this.ended.delete(decision.executionId);
        break;
      case "agent_removed":
        this.agents.delete(decision.agentId);
        break;
      case "clock":
        if (decision.sinceMs === undefined) this.clocks.delete(decision.name);
        else this.clocks.set(decision.name, decision.sinceMs);
        break;
      case "refused":
      case "progressed":
      case "completed":
      case "cancel_lease":
      case "acknowledge":
        break;
    }
  }

  #end(id: string, endedAtMs: number, spent: string | undefined): void {
    const execution = this.executions.get(id);
    if (execution === undefined) throw new Error(`${id} is not in storage`);
    this.executions.delete(id);
    const { actionKey } = execution;
    this.ended.set(id, { id, endedAtMs, spent: spent === undefined ? undefined : { actionKey, message: spent } });
  }
}
