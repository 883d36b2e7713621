import { join } from "node:path";
import { z } from "zod";
import type { BlobSource } from "../fixtures/blobs.ts";
import { startWorkerd } from "../remex/workerd.ts";
import type { Baseline } from "./baseline.ts";
import type { BareQueryRequest } from "./bare-query-protocol.ts";

const queryTimes = z.object({ missing: z.number(), timesMs: z.array(z.number()) });

/** One set query in SQLite for as many hashes, half of them there: timed in the object itself, with no call around it. */
export async function bareQuery(bundles: string, directory: string, blobs: BlobSource): Promise<Baseline> {
  const worker = await startWorkerd({
    script: join(bundles, "bare-query-worker.js"),
    dataDirectory: directory,
    worker: { durableObjects: { INDEX: { className: "Index", useSQLite: true } } },
  });
  return {
    name: "bare query",
    operation: "one set query in an object's SQLite, timed in the object",
    async run({ blobs: count = 0 }, operations) {
      const hashes = Array.from({ length: count }, () => blobs.absent(0).hash);
      const present = hashes.filter((_, i) => i % 2 === 1);
      const request: BareQueryRequest = { present, asked: hashes, times: operations };
      const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(request) });
      const { missing, timesMs } = queryTimes.parse(await response.json());
      if (missing !== count - present.length) throw new Error(`the bare query finds ${missing} missing`);
      return {
        durationMs: timesMs.reduce((sum, ms) => sum + ms, 0),
        latenciesMs: Float64Array.from(timesMs),
        order: [...timesMs.keys()],
        errors: new Map(),
      };
    },
    stop: () => worker.stop(),
  };
}
