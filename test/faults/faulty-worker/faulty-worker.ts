// The Worker as it is deployed, whose calls to R2 and to objects go wrong where a test says so.
import { CacheShard as RealCacheShard } from "../../../durable-objects/cache-shard.ts";
import type { Env } from "../../../src/env.ts";
import worker from "../../../src/worker.ts";
import { faultPlanSchema, FAULTS_PATH, KILL_PATH } from "../fault-plan.ts";
import { faultReport, setFaults, Side } from "./faults.ts";
import { faultyBindings } from "./faulty-bindings.ts";

export { Instance } from "../../../durable-objects/instance.ts";
export { Quota } from "../../../durable-objects/quota.ts";

export class CacheShard extends RealCacheShard {
  constructor(context: DurableObjectState, env: Env) {
    const side = new Side(() => {
      context.abort("killed by the test");
    });
    super(context, faultyBindings(env, side));
  }

  /** Kills the object: the test asks for nothing else in this way. */
  override fetch(): Response {
    this.ctx.abort("killed by the test");
    return new Response();
  }
}

export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === KILL_PATH) {
      const stub = env.CACHE_SHARD.get(env.CACHE_SHARD.idFromName(searchParams.get("shard") ?? ""));
      await stub.fetch(request).catch(() => undefined);
      return new Response();
    }
    if (pathname === FAULTS_PATH) {
      if (request.method === "POST") {
        const plan: unknown = await request.json();
        setFaults(plan === null ? undefined : faultPlanSchema.parse(plan));
      }
      return Response.json(faultReport());
    }
    // A request that is killed does nothing any more, and its client sees the connection break.
    const killed = Promise.withResolvers<Response>();
    const side = new Side(() => {
      killed.reject(new Error("killed by the test"));
    });
    return Promise.race([worker.fetch(request, faultyBindings(env, side), context), killed.promise]);
  },
} satisfies ExportedHandler<Env>;
