import { once } from "node:events";
import http from "node:http";
import { json } from "node:stream/consumers";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, it, onTestFinished, vi } from "vitest";
import { SpanQueue } from "../../../src/tracing/span-queue.ts";
import { tracingSettings } from "../../../src/tracing/tracing-settings.ts";

/** A queue whose work is waited for, and the names of the spans in each request to its collector. */
async function start(answer: (response: http.ServerResponse) => void) {
  const batches: number[] = [];
  const server = http.createServer((request, response) => {
    void json(request).then((body) => {
      batches.push(JSON.stringify(body).split('"spanId"').length - 1);
      answer(response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const settings = tracingSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
  if (settings === undefined) throw new Error("tracing is off");
  const works: Promise<unknown>[] = [];
  const queue = new SpanQueue(settings, (work) => works.push(work));
  const tracer = new TracerProvider({ spanProcessors: [queue] }).getTracer("test");
  const makeSpans = (count: number): void => {
    for (let span = 0; span < count; span++) tracer.startSpan(`span ${span}`).end();
  };
  return { batches, works, makeSpans };
}

it("spans that end together are sent together, by one request", async () => {
  const { batches, makeSpans, works } = await start((response) => response.end("{}"));
  makeSpans(3);
  expect(works).toHaveLength(1);
  await Promise.all(works);
  expect(batches).toEqual([3]);
  makeSpans(1);
  await Promise.all(works);
  expect(batches).toEqual([3, 1]);
});

it("no more wait than there may, and no request is larger than it may be", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { batches, makeSpans, works } = await start((response) => response.end("{}"));
  makeSpans(3000);
  await Promise.all(works);
  expect(batches).toEqual([512, 512, 512, 512]);
  expect(warn.mock.calls.join()).toContain('"dropped":952');
});

it.each([
  ["refuses them", (response: http.ServerResponse) => response.writeHead(503).end()],
  ["breaks off", (response: http.ServerResponse) => response.destroy()],
])("a collector that %s is a line in the log, and no failure", async (_what, answer) => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const { makeSpans, works } = await start(answer);
  makeSpans(1);
  await Promise.all(works);
  expect(warn).toHaveBeenCalledTimes(1);
});
