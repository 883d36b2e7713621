// The Worker as it is deployed, with every operation of the platform counted and, if asked for, delayed. It is a bundle
// of its own: the one that is deployed holds nothing of this.
import { CacheShard } from "../../durable-objects/cache-shard.ts";
import { Instance } from "../../durable-objects/instance.ts";
import { Quota } from "../../durable-objects/quota.ts";
import worker from "../../src/worker.ts";
import { COUNTS_PATH } from "../bill/counts-path.ts";
import { type BenchEnv, countedEnv, isR2Distant } from "./bench-env.ts";
import { counts } from "./counter.ts";
import { inInvocation } from "./invocation.ts";
import { meterEvents, ObjectMeter, setMeter } from "./object-meter.ts";

export class CountedInstance extends Instance {
  constructor(context: DurableObjectState, env: BenchEnv) {
    const meter = new ObjectMeter(context, isR2Distant(env));
    super(context, countedEnv(env));
    setMeter(this, meter);
  }
}

export class CountedCacheShard extends CacheShard {
  constructor(context: DurableObjectState, env: BenchEnv) {
    const meter = new ObjectMeter(context, isR2Distant(env));
    super(context, countedEnv(env));
    setMeter(this, meter);
  }
}

export class CountedQuota extends Quota {
  constructor(context: DurableObjectState, env: BenchEnv) {
    const meter = new ObjectMeter(context, isR2Distant(env));
    super(context, countedEnv(env));
    setMeter(this, meter);
  }
}

meterEvents(CountedInstance, Instance);
meterEvents(CountedCacheShard, CacheShard);
meterEvents(CountedQuota, Quota);

export default {
  fetch(request, env, context) {
    if (new URL(request.url).pathname === COUNTS_PATH) return Response.json(counts);
    counts.workerRequests++;
    const serve = () => worker.fetch(request, countedEnv(env), context);
    return isR2Distant(env) ? inInvocation(serve) : serve();
  },
} satisfies ExportedHandler<BenchEnv>;
