import type { Execution, Operation } from "./state.ts";

/** Makes `operation` one more of those that wait for the execution. The first one stays the first. */
export function addOperation(execution: Execution, operation: Operation): void {
  const first = execution.operation;
  if (first === undefined) {
    execution.operation = operation;
  } else {
    operation.next = first.next;
    first.next = operation;
  }
}

/** The operation must be one of the execution's. */
export function removeOperation(execution: Execution, operation: Operation): void {
  if (execution.operation === operation) {
    execution.operation = operation.next;
    return;
  }
  let before = execution.operation;
  while (before !== undefined && before.next !== operation) before = before.next;
  if (before !== undefined) before.next = operation.next;
}

/** Whether so many or more wait for the execution. */
export function hasOperations(execution: Execution, count: number): boolean {
  let { operation } = execution;
  for (let seen = 0; operation !== undefined; operation = operation.next) if (++seen >= count) return true;
  return false;
}

export function bestPriority(execution: Execution): number {
  let best = Infinity;
  for (const { priority } of operationsOf(execution)) best = Math.min(best, priority);
  return best;
}

export function* operationsOf(execution: Execution): Iterable<Operation> {
  for (let { operation } = execution; operation !== undefined; operation = operation.next) yield operation;
}
