import type { BookedExecution } from "./books.ts";
import { hold } from "./violation.ts";

/*
 * In a round, what came first goes first: so a build may be first in one round and last in the next, and two turns of each
 * other build may come between its own.
 */

/** The executions of one build that wait at one priority of one platform, the first to come first. */
interface Line {
  readonly waiting: BookedExecution[];
  /** What `Level.served` was when it came, or last had its turn. */
  since: number;
  /** How many turns of others may come before its own. */
  allowance: number;
}

interface Level {
  readonly lines: Map<string, Line>;
  /** What was leased before and must be done again. */
  readonly returned: Set<BookedExecution>;
  /** How many turns there were. */
  served: number;
}

/**
 * Who waits, and whether those who wait are treated fairly: the best priority first; what must be done again before what is
 * new; then each build in its turn; and of one build what came first. None of that may change with a restart.
 */
export class WaitingLines {
  /** By platform key, then priority. */
  readonly #groups = new Map<string, Map<number, Level>>();

  join(execution: BookedExecution): void {
    const levels = this.#levels(execution);
    const level = levels.get(execution.priority) ?? { lines: new Map<string, Line>(), returned: new Set(), served: 0 };
    levels.set(execution.priority, level);
    if (execution.leases > 0) {
      level.returned.add(execution);
      return;
    }
    const line = level.lines.get(execution.invocationId);
    if (line !== undefined) line.waiting.push(execution);
    else {
      const allowance = 2 * level.lines.size;
      level.lines.set(execution.invocationId, { waiting: [execution], since: level.served, allowance });
    }
  }

  /** It waits with another build, or at another priority, from now on. */
  move(execution: BookedExecution, change: () => void): void {
    this.leave(execution);
    change();
    this.join(execution);
    // It is older than it is there, and in a round what came first goes first.
    const level = this.#levels(execution).get(execution.priority);
    for (const line of level?.lines.values() ?? []) line.allowance += 1;
  }

  /** It is gone. */
  leave(execution: BookedExecution): void {
    const line = this.#remove(execution);
    // It leaves a gap: its build had that turn, and doesn't get another one for it.
    if (line !== undefined) line.allowance = Infinity;
  }

  /** The execution is about to be leased: is it its turn? */
  serve(execution: BookedExecution): void {
    for (const priority of this.#levels(execution).keys()) {
      hold(priority >= execution.priority, "the best priority of a platform runs first", () => execution.id);
    }
    const level = this.#levels(execution).get(execution.priority);
    if (level === undefined) throw new Error("nothing waits at that priority");
    if (level.returned.size > 0) this.#serveReturned(level, execution);
    else this.#serveNew(level, execution);
  }

  #serveReturned({ returned }: Level, execution: BookedExecution): void {
    hold(returned.has(execution), "a retry goes before what is new", () => execution.id);
    for (const { arrival } of returned) {
      hold(arrival >= execution.arrival, "of what is done again, what came first runs first", () => execution.id);
    }
    this.#remove(execution);
  }

  #serveNew(level: Level, execution: BookedExecution): void {
    const own = level.lines.get(execution.invocationId);
    hold(own?.waiting[0] === execution, "of one build, what came first runs first", () => execution.id);
    for (const [invocationId, line] of level.lines) {
      hold(
        level.served - line.since <= line.allowance,
        "builds take turns",
        () => `${invocationId} waits for more than ${line.allowance} turns of others`,
      );
    }
    this.#remove(execution);
    level.served += 1;
    own.since = level.served;
    own.allowance = own.allowance === Infinity ? Infinity : 2 * level.lines.size;
  }

  #levels(execution: BookedExecution): Map<number, Level> {
    const { key } = execution.request.requirement;
    const levels = this.#groups.get(key) ?? new Map<number, Level>();
    this.#groups.set(key, levels);
    return levels;
  }

  #remove(execution: BookedExecution): Line | undefined {
    const levels = this.#levels(execution);
    const level = levels.get(execution.priority);
    if (level === undefined) throw new Error("nothing waits at that priority");
    const line = level.lines.get(execution.invocationId);
    if (!level.returned.delete(execution)) {
      const index = line?.waiting.indexOf(execution) ?? -1;
      if (line === undefined || index < 0) throw new Error(`${execution.id} is not in line`);
      line.waiting.splice(index, 1);
      if (line.waiting.length === 0) level.lines.delete(execution.invocationId);
    }
    if (level.lines.size === 0 && level.returned.size === 0) levels.delete(execution.priority);
    return line;
  }
}
