// `/stream` says something now and then and never ends, `/flood` says as much as is taken; all else tells how many of them
// have not been cleaned up after.
import { responseStream } from "../../../../src/connect/response-stream.ts";

export { CacheShard } from "../../../../durable-objects/cache-shard.ts";
export { Instance } from "../../../../durable-objects/instance.ts";
export { Quota } from "../../../../durable-objects/quota.ts";

const QUIET_MS = 200;
const MAX_UNTAKEN_MS = 500;

/** What hangs on each stream: enough to tell it from what else an isolate holds. */
const BALLAST_NUMBERS = 16 << 10;

let open = 0;
let told = 0;

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    const onGone = () => {
      told++;
    };
    if (pathname === "/stream") return new Response(responseStream(neverEnding(QUIET_MS), onGone));
    if (pathname === "/flood") return new Response(responseStream(neverEnding(0), onGone, MAX_UNTAKEN_MS));
    return Response.json({ open, told });
  },
} satisfies ExportedHandler;

async function* neverEnding(quietMs: number): AsyncGenerator<Uint8Array, void, undefined> {
  const ballast = Array.from({ length: BALLAST_NUMBERS }, () => Math.random());
  open++;
  try {
    for (;;) {
      yield new Uint8Array(ballast.length);
      if (quietMs > 0) await scheduler.wait(quietMs);
    }
  } finally {
    open--;
  }
}
