import type { ExecutionView } from "../execution-view.ts";

/** One action of a chain. */
export interface PathStep {
  readonly execution: ExecutionView;
  /** From the end of the one before to when this was queued: the client's own time, and that of actions it found cached. */
  readonly gapMs: number;
  /** From when it was queued to its end. */
  readonly tookMs: number;
}

/**
 * The chain of actions that a build had to wait for, as far as times tell: it ends with the action that ended last, and
 * before each comes the one that ended last before that was queued. A client queues an action as soon as it has all of its
 * inputs, so that is the one it waited for, unless the client was busy with something else. Which action needs which is not
 * in the protocol.
 */
export function criticalPath(executions: readonly ExecutionView[]): PathStep[] {
  const ended = executions
    .flatMap((execution) => {
      const { endedAtMs, queuedAtMs } = execution;
      return endedAtMs === undefined ? [] : { execution, endedAtMs, queuedAtMs };
    })
    .sort((a, b) => a.endedAtMs - b.endedAtMs);
  const path: PathStep[] = [];
  let end = ended.length;
  while (end > 0) {
    const step = ended[end - 1];
    if (step === undefined) break;
    // Those that ended before this one was queued are the first ones in their order.
    const before = countBefore(ended, step.queuedAtMs, end - 1);
    const previous = ended[before - 1];
    path.unshift({
      execution: step.execution,
      gapMs: previous === undefined ? 0 : step.queuedAtMs - previous.endedAtMs,
      tookMs: step.endedAtMs - step.queuedAtMs,
    });
    end = before;
  }
  return path;
}

/** How many of the first `limit` ended at or before a time. */
function countBefore(ended: readonly { readonly endedAtMs: number }[], atMs: number, limit: number): number {
  let low = 0;
  let high = limit;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ended[middle]?.endedAtMs ?? Infinity) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
