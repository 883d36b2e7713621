import fc from "fast-check";
import { expect, test } from "vitest";
import type { Happening } from "../../../durable-objects/scheduler/events.ts";
import { offerOf, requirementOf } from "../../../durable-objects/scheduler/platform.ts";
import { Scheduler } from "../../../durable-objects/scheduler/scheduler.ts";
import { LIMITS } from "./limits.ts";

const RULES = { kinds: new Map(), unlisted: "exact" } as const;

/** A scheduler at one moment, which never goes on by itself. */
function scheduler() {
  const core = new Scheduler(LIMITS);
  return { core, step: (happening: Happening) => core.step({ ...happening, nowMs: 1000 }) };
}

function enqueue(id: string, priority: number, invocationId: string, pool: string): Happening {
  return {
    type: "enqueue",
    operationId: id,
    actionKey: id,
    mergeable: false,
    requirement: requirementOf([{ name: "pool", value: pool }], RULES),
    priority,
    invocationId,
    timeoutMs: 1000,
    inputRoot: undefined,
    target: undefined,
  };
}

function connect(id: string, pool: string, maxActions = 1): Happening {
  const offer = offerOf([{ name: "pool", value: pool }], RULES);
  return {
    type: "agent_connected",
    agent: { id, name: id, offer, maxActions, draining: false, inputRoots: [] },
    leaseIds: [],
  };
}

test("an execution has as many ahead of it as are leased before it", () => {
  const executions = fc.array(fc.tuple(fc.integer({ min: -1, max: 1 }), fc.constantFrom("a", "b", "c")), {
    minLength: 1,
    maxLength: 25,
  });
  fc.assert(
    fc.property(executions, fc.integer({ min: 1, max: 6 }), (wanted, returned) => {
      const { core, step } = scheduler();
      wanted.forEach(([priority, build], index) => step(enqueue(String(index), priority, build, "p")));
      // Some are taken out and come back, all at once, and go before all others then.
      const taken = step(connect("early", "p", returned)).filter((decision) => decision.type === "leased");
      step({ type: "agent_draining", agentId: "early" });
      for (const { leaseId } of taken.toReversed()) {
        step({ type: "lease_ended", agentId: "early", leaseId, outcome: "handed_back", message: "" });
      }
      const ahead = wanted.map((_, index) => core.waiting(String(index))?.ahead);
      const order: number[] = [];
      let decisions = step(connect("late", "p"));
      for (;;) {
        const leased = decisions.find((decision) => decision.type === "leased");
        if (leased?.type !== "leased") break;
        order.push(Number(leased.executionId));
        const { leaseId } = leased;
        decisions = step({ type: "lease_ended", agentId: "late", leaseId, outcome: "completed", message: "" });
      }
      expect(order.map((index) => ahead[index])).toEqual(wanted.map((_, index) => index));
    }),
  );
});

test("what nobody can run says what nobody offers, and until when it is kept", () => {
  const { core, step } = scheduler();
  step(connect("a", "small"));
  step(enqueue("1", 0, "", "large"));
  expect(core.waiting("1")).toEqual({
    ahead: 0,
    active: 0,
    agents: 0,
    mismatch: "no connected agent has the platform property pool=large",
    refusedAtMs: 31_000,
  });
  step(connect("b", "large"));
  expect(core.waiting("1")).toBeUndefined();
  expect(core.waiting("nothing")).toBeUndefined();
});
