import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { z } from "zod";
import type { LoopResult } from "../load/closed-loop.ts";

const timesSchema = z.object({ durationMs: z.number(), latenciesMs: z.array(z.number()) });

/** Runs a script in a Node process of its own, which measures its operations and prints their times as JSON. */
export async function timedProcess(script: string, args: readonly string[]): Promise<LoopResult> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { maxBuffer: 64 << 20 });
  const { durationMs, latenciesMs } = timesSchema.parse(JSON.parse(stdout));
  return {
    durationMs,
    latenciesMs: Float64Array.from(latenciesMs),
    order: [...latenciesMs.keys()],
    errors: new Map(),
  };
}
