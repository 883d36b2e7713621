import { Code, ConnectError } from "@connectrpc/connect";

/** Looks at an answer when the clock has stopped. Throws WrongAnswer if it isn't what was asked for. */
export type Check = () => void;

/** Does one operation, from the first byte sent to the last one received. */
export type Operation = () => Promise<Check | undefined>;

/** The server answered OK, and something else than the truth. */
export class WrongAnswer extends Error {
  override readonly name = "WrongAnswer";
}

/** How errors without a gRPC code are counted. */
const WRONG_ANSWER = "wrong answer";

export interface LoopResult {
  /** From the start of the first operation to the end of the last. */
  readonly durationMs: number;
  /** Of the operations that succeeded, in the order in which they ended. */
  readonly latenciesMs: Float64Array;
  /** Positions in the list of operations, in the order in which they ended, those that failed included. */
  readonly order: readonly number[];
  readonly errors: ReadonlyMap<string, ErrorCount>;
}

export interface ErrorCount {
  readonly count: number;
  /** The message of the first of them. */
  readonly example: string;
}

/**
 * Carries out the operations in order, `concurrency` of them at any time: each slot starts the next one when its last
 * one has ended and was checked. So the load gives way to a slow server, and the latencies are those of this many
 * clients, not of arrivals at a fixed rate.
 */
export async function closedLoop(operations: readonly Operation[], concurrency: number): Promise<LoopResult> {
  const latencies: number[] = [];
  const order: number[] = [];
  const errors = new Map<string, ErrorCount>();
  const pending = operations.entries();
  let endedMs = 0;

  async function slot(): Promise<void> {
    for (const [position, operation] of pending) {
      const startMs = performance.now();
      try {
        const check = await operation();
        endedMs = performance.now();
        const latencyMs = endedMs - startMs;
        check?.();
        latencies.push(latencyMs);
      } catch (error) {
        endedMs = performance.now();
        count(errors, error);
      }
      order.push(position);
    }
  }

  const startMs = performance.now();
  await Promise.all(Array.from({ length: Math.min(concurrency, operations.length) }, slot));
  return { durationMs: endedMs - startMs, latenciesMs: Float64Array.from(latencies), order, errors };
}

function count(errors: Map<string, ErrorCount>, error: unknown): void {
  const name = error instanceof WrongAnswer ? WRONG_ANSWER : codeName(ConnectError.from(error).code);
  const before = errors.get(name);
  const example = before?.example ?? (error instanceof Error ? error.message : String(error));
  errors.set(name, { count: (before?.count ?? 0) + 1, example });
}

/** As gRPC writes it: `RESOURCE_EXHAUSTED`. */
export function codeName(code: Code): string {
  return Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
