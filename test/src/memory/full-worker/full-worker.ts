// The Worker as it is deployed, and `/fill/calls/{n}` and `/fill/waits/{n}`: so many calls of callers without a token are open
// in its isolate, or wait for actions.
import { NOBODY } from "../../../../src/access/caller.ts";
import { openCall, openWait } from "../../../../src/memory/open-calls.ts";
import { app } from "../../../../src/app.ts";
import type { Env } from "../../../../src/env.ts";

export { CacheShard } from "../../../../durable-objects/cache-shard.ts";
export { Instance } from "../../../../durable-objects/instance.ts";
export { Quota } from "../../../../durable-objects/quota.ts";

export default {
  fetch(request, env) {
    const [, path, kind, count] = new URL(request.url).pathname.split("/");
    if (path !== "fill") return app.fetch(request, env);
    for (let i = 0; i < Number(count); i++) (kind === "calls" ? openCall : openWait)(NOBODY.name);
    return new Response();
  },
} satisfies ExportedHandler<Env>;
