// The Worker as it is deployed, whose Instance objects bear only a few sockets.
import { Instance as RealInstance } from "../../../../durable-objects/instance.ts";
import type { Env } from "../../../../src/env.ts";
import worker from "../../../../src/worker.ts";

export { CacheShard } from "../../../../durable-objects/cache-shard.ts";
export { Quota } from "../../../../durable-objects/quota.ts";

const LIMITS = { maxStrangers: 2, maxSockets: 6 };

export class Instance extends RealInstance {
  constructor(context: DurableObjectState, env: Env) {
    super(context, env, LIMITS);
  }
}

export default worker;
