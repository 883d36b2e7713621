import { startWorker, type TestWorker, type TestWorkerOptions } from "../worker.ts";
import { faultReportSchema, FAULTS_PATH, KILL_PATH, type FaultPlan, type FaultReport } from "./fault-plan.ts";

/** A Worker whose calls to R2 and to objects go wrong as planned. */
export interface FaultyWorker extends TestWorker {
  /** Makes a plan, or ends it. */
  plan(plan: FaultPlan | undefined): Promise<void>;
  report(): Promise<FaultReport>;
  /** Kills shard `index` of MAIN_STORE at once; the next call starts it again. */
  killShard(index: number): Promise<void>;
}

export async function startFaultyWorker(options: TestWorkerOptions): Promise<FaultyWorker> {
  const worker = await startWorker({
    // What goes wrong here is logged, and is meant to.
    onLog: () => undefined,
    ...options,
    entryPoint: "test/faults/faulty-worker/faulty-worker.ts",
  });
  const ask = async (init?: RequestInit) => {
    const response = await fetch(worker.url + FAULTS_PATH, { ...init, headers: { connection: "close" } });
    return faultReportSchema.parse(await response.json());
  };
  return {
    ...worker,
    plan: async (plan) => {
      await ask({ method: "POST", body: JSON.stringify(plan ?? null) });
    },
    report: () => ask(),
    killShard: async (index) => {
      const url = `${worker.url}${KILL_PATH}?shard=${encodeURIComponent(`MAIN_STORE/${index}`)}`;
      await fetch(url, { headers: { connection: "close" } });
    },
  };
}

/**
 * Runs `act` again and again, each time with whoever makes the next of its calls killed when the call has had its effect,
 * until it runs to its end. That is every line at which it makes a difference to be killed: what an object writes between
 * two calls is one transaction. `check` judges what the crash has left.
 * @returns where somebody was killed
 */
export async function crashEverywhere<T>(
  worker: FaultyWorker,
  scenario: {
    /** What is there before. */
    readonly prepare: () => Promise<T>;
    /** May fail. */
    readonly act: (prepared: T) => Promise<unknown>;
    /** `where` is for messages: what was killed, and when. */
    readonly check: (prepared: T, where: string) => Promise<void>;
    /** The calls that count; all, if it is left out. */
    readonly of?: readonly string[];
  },
): Promise<string[]> {
  const seen: string[] = [];
  for (let at = 1; ; at++) {
    const prepared = await scenario.prepare();
    await worker.plan({ at, effect: "die-after", of: [...(scenario.of ?? [])] });
    await scenario.act(prepared).catch(() => undefined);
    const { calls, happened } = await worker.report();
    await worker.plan(undefined);
    if (!happened) return seen;
    const where = `killed after call ${at}, ${calls[at - 1] ?? ""}`;
    seen.push(where);
    await scenario.check(prepared, where);
  }
}
