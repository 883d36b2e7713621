import type { Env } from "../../src/env.ts";
import { countedBucket } from "./counted-bucket.ts";
import { distantObjects } from "./distant-objects.ts";

/** The Worker's bindings and what the bench adds to them. */
export interface BenchEnv extends Env {
  /** What each R2 operation waits, as if R2 were that far away. */
  readonly R2_LATENCY_MS: number;
  /** What each call or request to an object waits, there and back. */
  readonly OBJECT_LATENCY_MS: number;
}

/** Whether requests wait for R2, and so for a place among the operations that one request may have under way. */
export function isR2Distant({ R2_LATENCY_MS }: BenchEnv): boolean {
  return R2_LATENCY_MS > 0;
}

const countedEnvs = new WeakMap<BenchEnv, Env>();

/** The bindings as Remex gets them: counted and delayed. The same for the same `env`, as on the platform. */
export function countedEnv(env: BenchEnv): Env {
  const known = countedEnvs.get(env);
  if (known !== undefined) return known;
  const counted: Env = {
    ...env,
    CAS: countedBucket(env.CAS, env.R2_LATENCY_MS),
    INSTANCE: distantObjects(env.INSTANCE, env.OBJECT_LATENCY_MS),
    CACHE_SHARD: distantObjects(env.CACHE_SHARD, env.OBJECT_LATENCY_MS),
    QUOTA: distantObjects(env.QUOTA, env.OBJECT_LATENCY_MS),
  };
  countedEnvs.set(env, counted);
  return counted;
}
