import type { ErrorCount, LoopResult } from "./closed-loop.ts";
import { median, quantile } from "./quantile.ts";

/** What several runs of the same load say. */
export interface Summary {
  readonly runs: number;
  /** Those that succeeded, of all runs. */
  readonly succeeded: number;
  readonly durationMs: Spread;
  /** Of those that succeeded, run by run. */
  readonly operationsPerSecond: Spread;
  /** Over the operations of all runs that succeeded. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  /** By gRPC code. */
  readonly errors: Readonly<Record<string, ErrorCount>>;
}

/** How a figure differs from run to run. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function summarize(runs: readonly LoopResult[]): Summary {
  const latencies = Float64Array.from(runs.flatMap(({ latenciesMs }) => [...latenciesMs])).sort();
  return {
    runs: runs.length,
    succeeded: latencies.length,
    durationMs: spreadOf(runs.map(({ durationMs }) => durationMs)),
    operationsPerSecond: spreadOf(runs.map(({ latenciesMs, durationMs }) => (latenciesMs.length / durationMs) * 1000)),
    latencyMs: {
      p50: quantile(latencies, 0.5),
      p90: quantile(latencies, 0.9),
      p99: quantile(latencies, 0.99),
      max: quantile(latencies, 1),
    },
    errors: addErrors(runs.map(({ errors }) => errors)),
  };
}

function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

function addErrors(runs: readonly ReadonlyMap<string, ErrorCount>[]): Record<string, ErrorCount> {
  const sum: Record<string, ErrorCount> = {};
  for (const [code, { count, example }] of runs.flatMap((errors) => [...errors])) {
    const before = sum[code];
    sum[code] = { count: (before?.count ?? 0) + count, example: before?.example ?? example };
  }
  return sum;
}
