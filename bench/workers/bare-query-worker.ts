// The physical limit of FindMissingBlobs: one set query over a table of hashes, in an object.
import { DurableObject } from "cloudflare:workers";
import type { BareQueryRequest, BareQueryTimes } from "../baselines/bare-query-protocol.ts";

interface BareQueryEnv {
  readonly INDEX: DurableObjectNamespace<Index>;
}

export class Index extends DurableObject<object> {
  /** Stores `present`, then times the look-up of `asked`. */
  time({ present, asked, times }: BareQueryRequest): BareQueryTimes {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS hashes (hash BLOB PRIMARY KEY) WITHOUT ROWID");
    sql.exec("INSERT OR IGNORE INTO hashes SELECT unhex(value) FROM json_each(?)", JSON.stringify(present));
    const parameter = JSON.stringify(asked);
    const timesMs: number[] = [];
    let missing = 0;
    for (let i = 0; i < times; i++) {
      const startMs = performance.now();
      missing = sql
        .exec("SELECT key FROM json_each(?) LEFT JOIN hashes ON hash = unhex(value) WHERE hash IS NULL", parameter)
        .toArray().length;
      timesMs.push(performance.now() - startMs);
    }
    return { missing, timesMs };
  }
}

export default {
  async fetch(request, { INDEX }) {
    const index = INDEX.get(INDEX.idFromName("index"));
    return Response.json(await index.time(await request.json()));
  },
} satisfies ExportedHandler<BareQueryEnv>;
