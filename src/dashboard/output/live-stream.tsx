import { Code } from "@connectrpc/connect";
import { html } from "hono/html";
import { responseStream } from "../../connect/response-stream.ts";
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
  const events = async function* () {
    const reader = new AnsiReader(style);
    let readBytes = Number(offset);
    const shown = async (pieces: readonly StyledText[]) =>
      serverSentEvent({
        data: JSON.stringify(await html`${(<StyledOutput pieces={pieces} />)}`),
        id: `${readBytes} ${reader.style}`,
      });
    try {
      for await (const chunk of read(readBytes)) {
        readBytes += chunk.length;
        const pieces = reader.read(chunk);
        if (pieces.length > 0) yield await shown(pieces);
        if (readBytes > MAX_SENT_BYTES) {
          yield serverSentEvent({ event: "cut" });
          return;
        }
      }
      const rest = reader.end();
      if (rest.length > 0) yield await shown(rest);
      yield serverSentEvent({ event: "end" });
    } catch (error) {
      // A lost attempt, or a scheduler that restarts: the page asks for the output from its beginning again.
      const mayComeBack = reportedError(error).code === Code.Unavailable;
      yield serverSentEvent({ event: mayComeBack ? "lost" : "end" });
    }
  };
  return c.body(responseStream(events(), onGone), 200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
  });
}

/** An event as it is sent (HTML, Server-sent events). No field has a line break. */
function serverSentEvent({ data = "", event, id }: { data?: string; event?: string; id?: string }): Uint8Array {
  const fields = [event !== undefined && `event: ${event}`, `data: ${data}`, id !== undefined && `id: ${id}`];
  return new TextEncoder().encode(`${fields.filter((field) => field !== false).join("\n")}\n\n`);
}

function streamNamed(name: string): OutputStream {
  return name === "stdout" ? "stdout" : "stderr";
}
