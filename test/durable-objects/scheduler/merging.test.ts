import { expect, test } from "vitest";
import type { Happening } from "../../../durable-objects/scheduler/events.ts";
import { MAX_OPERATIONS } from "../../../durable-objects/scheduler/limits.ts";
import { requirementOf } from "../../../durable-objects/scheduler/platform.ts";
import { Scheduler } from "../../../durable-objects/scheduler/scheduler.ts";
import { LIMITS } from "./limits.ts";

function enqueue(operationId: string, actionKey: string): Happening {
  return {
    type: "enqueue",
    operationId,
    actionKey,
    mergeable: true,
    requirement: requirementOf([], { kinds: new Map(), unlisted: "exact" }),
    priority: 0,
    invocationId: "",
    timeoutMs: 1000,
    inputRoot: undefined,
    target: undefined,
  };
}

test("so many operations share an action and no more, and others go on", () => {
  const scheduler = new Scheduler({ ...LIMITS, maxQueuedActions: 50_000 });
  const step = (happening: Happening) =>
    scheduler.step({ ...happening, nowMs: 1000 }).filter(({ type }) => type !== "clock");
  for (let n = 0; n < MAX_OPERATIONS; n++) {
    expect(step(enqueue(`shared-${n}`, "shared"))).toMatchObject([{ type: n === 0 ? "queued" : "joined" }]);
  }
  expect(step(enqueue("one-more", "shared"))).toMatchObject([
    { type: "refused", failure: { reason: "queue_full", retryAfterMs: 1000 } },
  ]);
  expect(step(enqueue("other", "other"))).toMatchObject([{ type: "queued" }]);
  step({ type: "cancel_operation", operationId: "shared-7" });
  expect(step(enqueue("in-its-place", "shared"))).toMatchObject([{ type: "joined" }]);
});
