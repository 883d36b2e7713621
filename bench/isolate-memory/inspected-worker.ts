import { join } from "node:path";
import { LOCAL_WORKER } from "../../cli/local-worker.ts";
import { startWorkerd } from "../remex/workerd.ts";
import { HeldMemoryMeter } from "./held-memory.ts";

/** A Worker whose isolate is asked what it holds. */
export interface InspectedWorker {
  readonly url: URL;
  readonly meter: HeldMemoryMeter;
  stop(): Promise<void>;
}

/**
 * Starts the Worker as it is deployed.
 * @param dataDirectory where R2 and the objects keep their data
 * @param config the text of a configuration, in place of remex.json5
 */
export async function startInspectedWorker(dataDirectory: string, config?: string): Promise<InspectedWorker> {
  const { bindings, durableObjects, r2Buckets } = LOCAL_WORKER;
  const worker = await startWorkerd({
    script: join(import.meta.dirname, "worker.js"),
    dataDirectory,
    worker: {
      bindings: { ...bindings, ...(config !== undefined && { REMEX_CONFIG: config }) },
      durableObjects,
      r2Buckets,
    },
    inspected: true,
  });
  if (worker.inspectorUrl === undefined) throw new Error("a workerd that is inspected has an inspector");
  const meter = await HeldMemoryMeter.connect(worker.inspectorUrl, worker.url);
  return {
    url: worker.url,
    meter,
    stop: async () => {
      meter.close();
      await worker.stop();
    },
  };
}
