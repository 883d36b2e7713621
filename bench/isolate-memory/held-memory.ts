import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import { Inspector } from "../remex/inspector.ts";

const SAMPLE_MS = 50;
const POKE_MS = 500;

const usageSchema = z.object({
  usedSize: z.number(),
  embedderHeapUsedSize: z.number(),
  backingStorageSize: z.number(),
});

/** What an isolate held in the course of something, in bytes. */
export interface HeldMemory {
  readonly mostBytes: number;
  readonly samples: number;
  /** The longest time in which nothing is known. */
  readonly longestGapMs: number;
}

/** Asks the inspector what a Worker's isolate holds: the heap, and the array buffers beside it. */
export class HeldMemoryMeter {
  readonly #inspector: Inspector;
  readonly #workerUrl: URL;

  static async connect(inspectorUrl: URL, workerUrl: URL): Promise<HeldMemoryMeter> {
    return new HeldMemoryMeter(await Inspector.connect(inspectorUrl), workerUrl);
  }

  private constructor(inspector: Inspector, workerUrl: URL) {
    this.#inspector = inspector;
    this.#workerUrl = workerUrl;
  }

  /** What is held when the garbage has been collected, in bytes. */
  async held(): Promise<number> {
    const collecting = this.#inspector.call("HeapProfiler.collectGarbage", {}, z.unknown()).then(() => true);
    // It is done when the isolate runs next, which at rest it never does.
    while (!(await Promise.race([collecting, setTimeout(POKE_MS, false)]))) {
      void fetch(new URL("/healthz", this.#workerUrl)).then(
        (response) => response.text(),
        () => undefined,
      );
    }
    const usage = await this.#inspector.call("Runtime.getHeapUsage", {}, usageSchema);
    return usage.usedSize + usage.embedderHeapUsedSize + usage.backingStorageSize;
  }

  /** Asks again and again until `work` is done, as often as the isolate answers. */
  async during(work: Promise<unknown>): Promise<HeldMemory> {
    const over = new AbortController();
    const end = (): void => {
      over.abort();
    };
    work.then(end, end);
    let [mostBytes, samples, longestGapMs] = [0, 0, 0];
    for (let lastMs = performance.now(); !over.signal.aborted;) {
      mostBytes = Math.max(mostBytes, await this.held());
      samples++;
      const nowMs = performance.now();
      longestGapMs = Math.max(longestGapMs, nowMs - lastMs);
      lastMs = nowMs;
      await setTimeout(SAMPLE_MS);
    }
    await work;
    return { mostBytes, samples, longestGapMs };
  }

  close(): void {
    this.#inspector.close();
  }
}
