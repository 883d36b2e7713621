import { Violation } from "./violation.ts";
import { type History, simulate, strict } from "./simulate.ts";

/** How a history fails: the invariant's name, or the message of another error. Undefined if it doesn't. */
export function failureOf(seed: number, history: History): string | undefined {
  try {
    simulate(seed, history, undefined, strict(seed));
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return error.invariant;
    return error instanceof Error ? error.name : String(error);
  }
}

/**
 * A shorter history that fails in the same way: larger and smaller pieces are left out in turn, until no single step can
 * be left out any more or the time is up.
 */
export function shrink(seed: number, history: History, budgetMs = 60_000): History {
  const failure = failureOf(seed, history);
  if (failure === undefined) return history;
  let shortest = history;
  const untilMs = Date.now() + budgetMs;
  for (let size = history.length >> 1; size > 0 && Date.now() < untilMs;) {
    let shortened = false;
    for (let start = 0; start < shortest.length && Date.now() < untilMs;) {
      const shorter = [...shortest.slice(0, start), ...shortest.slice(start + size)];
      if (failureOf(seed, shorter) === failure) {
        shortest = shorter;
        shortened = true;
      } else {
        start += size;
      }
    }
    if (size > 1) size >>= 1;
    else if (!shortened) size = 0;
  }
  return shortest;
}
