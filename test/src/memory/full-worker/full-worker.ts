// The Worker as it is deployed, and `/fill/{n}`: so many streams of callers without a token are open in its isolate.
import { NOBODY } from "../../../../src/access/caller.ts";
import { openStream } from "../../../../src/memory/open-streams.ts";
import { app } from "../../../../src/app.ts";
import type { Env } from "../../../../src/env.ts";

export { CacheShard } from "../../../../durable-objects/cache-shard.ts";
export { Instance } from "../../../../durable-objects/instance.ts";
export { Quota } from "../../../../durable-objects/quota.ts";

export default {
  fetch(request, env) {
    const [, path, count] = new URL(request.url).pathname.split("/");
    if (path !== "fill") return app.fetch(request, env);
    for (let i = 0; i < Number(count); i++) openStream(NOBODY.name);
    return new Response();
  },
} satisfies ExportedHandler<Env>;
