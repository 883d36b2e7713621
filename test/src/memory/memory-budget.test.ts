import { expect, test } from "vitest";
import { MemoryBudget } from "../../../src/memory/memory-budget.ts";

test("what is taken is gone until it is given back, which counts once", () => {
  const budget = new MemoryBudget(100, 100);
  const release = budget.tryTake(90);
  expect(budget.tryTake(11)).toBeUndefined();
  const rest = budget.tryTake(10);
  expect(rest).toBeDefined();
  rest?.();
  rest?.();
  expect(budget.tryTake(11)).toBeUndefined();
  release?.();
  expect(budget.tryTake(100)).toBeDefined();
});

test("one owner gets no more than its share, and others get theirs all the same", () => {
  const budget = new MemoryBudget(100, 80);
  const mine = budget.tryTake(80, "greedy");
  expect(mine).toBeDefined();
  expect(budget.tryTake(1, "greedy")).toBeUndefined();
  expect(budget.tryTake(20, "modest")).toBeDefined();
  mine?.();
  expect(budget.tryTake(80, "greedy")).toBeDefined();
});
