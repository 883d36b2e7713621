import { Code, ConnectError } from "@connectrpc/connect";
import { Hono } from "hono";
import { z } from "zod";
import { R2Objects } from "../blob-store/r2-objects.ts";
import type { CacheShards } from "../cache-shards/cache-shards.ts";
import { openCacheShards } from "../cache-shards/cache-shards.ts";
import { MAX_SHARDS } from "../config/schema.ts";
import { digestFunctionByName } from "../digest/digest-function.ts";
import type { Env } from "../env.ts";
import { smallBody } from "../small-body.ts";
import { CHECK_START, type CheckPlace, checkPart } from "./check-store.ts";
import { operatedStore } from "./operated-store.ts";

/** What `remex store` asks for. Each needs the role `operator` on every instance that uses the store. */
export const storeRoutes = new Hono<{ Bindings: Env }>();

storeRoutes.use("/v1/stores/*", smallBody);

const checkRequestSchema = z.strictObject({
  /** What the part before has answered as `next`; left out for the first. */
  after: z.string().optional(),
  dry_run: z.boolean(),
  grace_s: z.number().nonnegative(),
  /** How many objects, and how many rows of each shard, are read for one part. */
  part_size: z.int().min(1).max(1000).default(1000),
});

storeRoutes.post("/v1/stores/:store/check", async (c) => {
  const store = c.req.param("store");
  const config = await operatedStore(c.env, c.req.raw.headers, store);
  const {
    after,
    dry_run: dryRun,
    grace_s: graceS,
    part_size: partSize,
  } = await parsedBody(c.req.raw, checkRequestSchema);
  const shards = openCacheShards(c.env, store, config);
  const { count, phase } = await shards.upkeep.layout();
  if (phase !== "stable") {
    throw new ConnectError(
      `store ${store} is being changed to ${count} shards; check it when that is done`,
      Code.FailedPrecondition,
    );
  }
  if (after === undefined && !dryRun) await shards.upkeep.recount();
  const { next, ...found } = await checkPart(shards, new R2Objects(c.env.CAS, store), parsePlace(after), {
    store,
    dryRun,
    partSize,
    uploadedBeforeMs: Date.now() - graceS * 1000,
  });
  return c.json({ ...found, next: next === undefined ? null : `${next.digestFunction.name}/${next.afterHash}` });
});

const reshardRequestSchema = z.strictObject({ shards: z.int().min(1).max(MAX_SHARDS) });

storeRoutes.post("/v1/stores/:store/reshard", async (c) => {
  const store = c.req.param("store");
  const config = await operatedStore(c.env, c.req.raw.headers, store);
  const { shards: count } = await parsedBody(c.req.raw, reshardRequestSchema);
  const shards = openCacheShards(c.env, store, config);
  const layout = await shards.upkeep.reshard(count);
  if (layout.count === count) return c.json(await layoutStatus(shards));
  throw new ConnectError(
    `store ${store} is being changed from ${layout.from} to ${layout.count} shards; wait until that is done`,
    Code.FailedPrecondition,
  );
});

storeRoutes.get("/v1/stores/:store/layout", async (c) => {
  const store = c.req.param("store");
  const config = await operatedStore(c.env, c.req.raw.headers, store);
  return c.json(await layoutStatus(openCacheShards(c.env, store, config)));
});

/** How many shards a store has, and how far a change of that number has come. */
async function layoutStatus(shards: CacheShards) {
  const { count, from, phase } = await shards.upkeep.layout();
  const moved = phase === "moving" ? (await shards.upkeep.standings()).slice(0, from).filter(({ moved }) => moved) : [];
  return { phase, shards: count, from, moved: moved.length };
}

async function parsedBody<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  let body: unknown;
  try {
    body = await request.json();
  } catch {
    throw new ConnectError("the body is no JSON", Code.InvalidArgument);
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new ConnectError(`the body is not as expected: ${z.prettifyError(parsed.error)}`, Code.InvalidArgument);
}

function parsePlace(text: string | undefined): CheckPlace {
  if (text === undefined) return CHECK_START;
  const [name = "", afterHash = ""] = text.split("/");
  const digestFunction = digestFunctionByName(name);
  if (digestFunction !== undefined && /^[0-9a-f]*$/.test(afterHash)) return { digestFunction, afterHash };
  throw new ConnectError(`"${text.slice(0, 256)}" is no place that a check has answered`, Code.InvalidArgument);
}
