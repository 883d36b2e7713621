// Tells of each chunk of a request's body as it comes, by a line of its response.
import { ConnectError } from "@connectrpc/connect";
import { RequestBody } from "../../../../src/connect/request-body.ts";

export { CacheShard } from "../../../../durable-objects/cache-shard.ts";
export { Instance } from "../../../../durable-objects/instance.ts";
export { Quota } from "../../../../durable-objects/quota.ts";

/** The client is still there. What it says next may be some time under way. */
const MAX_SILENCE_MS = 500;

export default {
  fetch(request) {
    const mostBytes = Number(new URL(request.url).searchParams.get("most") ?? Infinity);
    let bytes = 0;
    const count = (more: number) => {
      bytes += more;
      return bytes > mostBytes ? Promise.reject(new Error("no more")) : undefined;
    };
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const say = (line: string) => writer.write(new TextEncoder().encode(`${line}\n`));
    const tell = async () => {
      try {
        for await (const chunk of new RequestBody(request, count, MAX_SILENCE_MS)) await say(String(chunk.length));
        await say("end");
      } catch (error) {
        await say(error instanceof ConnectError ? error.message : String(error));
      }
      await writer.close();
    };
    void tell();
    return new Response(readable);
  },
} satisfies ExportedHandler;
