import { Code } from "@connectrpc/connect";
import { html } from "hono/html";
import { streamSSE } from "hono/streaming";
import { responseStream } from "../../connect/serve-fetch.ts";
import { reportedError } from "../../errors/unexpected.ts";
import { liveOutput } from "../../execution/live-output.ts";
import type { OutputStream } from "../../execution/operation-message.ts";
import { formatOperationName } from "../../instance-object/operation-name.ts";
import { type PageContext, visitInstance } from "../page.tsx";
import { StyledOutput } from "../parts/styled-output.tsx";
import { instanceNameOf } from "../../instance-segment.ts";
import { AnsiReader, type StyledText } from "./ansi.ts";

/** How much a page is sent of a stream; the rest is in the text that can be downloaded. */
const MAX_SENT_BYTES = 1 << 20;

type StreamContext = PageContext<"/ui/:instance/operations/:shard/:id/:stream">;

/**
 * `/ui/{instance}/operations/{shard}/{id}/{stdout,stderr}`: what an action writes, as it writes it. To a script that asks for
 * events it goes as pieces of a page, each with the place and the style to go on from after a broken connection; to all
 * others as the text that it is.
 */
export async function outputStream(c: StreamContext): Promise<Response> {
  const { caller } = await visitInstance(c, c.req.param("instance"), "see-operations");
  const { id, instance, shard, stream } = c.req.param();
  const name = formatOperationName({ instanceName: instanceNameOf(instance), shard: Number(shard), id });
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, c.req.raw.signal]);
  const read = (offsetBytes: number) => liveOutput(c.env, caller, name, streamNamed(stream), offsetBytes, signal);
  const onGone = () => {
    gone.abort();
  };

  if (c.req.header("accept") !== "text/event-stream") {
    const chunks = read(0);
    // Whatever is wrong with the name is said before the answer begins.
    const first = await chunks.next();
    const all = async function* () {
      if (first.done !== true) yield first.value;
      yield* chunks;
    };
    return c.body(responseStream(all(), onGone), 200, { "content-type": "text/plain; charset=utf-8" });
  }

  const [, offset = "0", style = ""] = /^(\d{1,15}) ([\d;]{0,64})$/.exec(c.req.header("last-event-id") ?? "") ?? [];
  return streamSSE(c, async (events) => {
    events.onAbort(onGone);
    const reader = new AnsiReader(style);
    let readBytes = Number(offset);
    const send = async (pieces: readonly StyledText[]) => {
      if (pieces.length === 0) return;
      const markup = await html`${(<StyledOutput pieces={pieces} />)}`;
      await events.writeSSE({ data: JSON.stringify(markup), id: `${readBytes} ${reader.style}` });
    };
    try {
      for await (const chunk of read(readBytes)) {
        readBytes += chunk.length;
        await send(reader.read(chunk));
        if (readBytes > MAX_SENT_BYTES) {
          await events.writeSSE({ event: "cut", data: "" });
          return;
        }
      }
      await send(reader.end());
      await events.writeSSE({ event: "end", data: "" });
    } catch (error) {
      // A lost attempt, or a scheduler that restarts: the page asks for the output from its beginning again.
      const mayComeBack = reportedError(error).code === Code.Unavailable;
      await events.writeSSE({ event: mayComeBack ? "lost" : "end", data: "" });
    }
  });
}

function streamNamed(name: string): OutputStream {
  return name === "stdout" ? "stdout" : "stderr";
}
