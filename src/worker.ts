import { app } from "./app.ts";
import type { Env } from "./env.ts";

export { CacheShard } from "../durable-objects/cache-shard.ts";
export { Instance } from "../durable-objects/instance.ts";
export { Quota } from "../durable-objects/quota.ts";

export default { fetch: app.fetch } satisfies ExportedHandler<Env>;
