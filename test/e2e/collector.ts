import { once } from "node:events";
import http from "node:http";
import { json } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { z } from "zod";

const attribute = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) });

/** An ExportTraceServiceRequest in OTLP's JSON, as far as it is looked at here. */
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attribute) }),
      scopeSpans: z.array(
        z.object({
          scope: z.object({ name: z.string() }),
          spans: z.array(
            z.object({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              name: z.string(),
              startTimeUnixNano: z.coerce.bigint(),
              endTimeUnixNano: z.coerce.bigint(),
              attributes: z.array(attribute),
            }),
          ),
        }),
      ),
    }),
  ),
});

type OtlpSpan = z.infer<typeof requestSchema>["resourceSpans"][number]["scopeSpans"][number]["spans"][number];

export interface CollectedSpan extends Omit<OtlpSpan, "attributes"> {
  readonly service: unknown;
  readonly scope: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Takes spans as OTLP over HTTP, as an OpenTelemetry collector does. It ends with the test. */
export class Collector {
  readonly spans: CollectedSpan[] = [];
  readonly headers: http.IncomingHttpHeaders[] = [];
  readonly #server = http.createServer((request, response) => {
    this.headers.push(request.headers);
    void json(request).then((body) => {
      if (request.url === "/otlp/v1/traces") this.#take(requestSchema.parse(body));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });

  /** Returns what OTEL_EXPORTER_OTLP_ENDPOINT is to be. */
  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    onTestFinished(() => {
      this.#server.closeAllConnections();
      this.#server.close();
    });
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the collector has no port");
    return `http://127.0.0.1:${address.port}/otlp`;
  }

  #take({ resourceSpans }: z.infer<typeof requestSchema>): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      for (const { scope, spans } of scopeSpans) {
        for (const span of spans) {
          const service = valuesOf(resource.attributes)["service.name"];
          this.spans.push({ ...span, service, scope: scope.name, attributes: valuesOf(span.attributes) });
        }
      }
    }
  }
}

function valuesOf(attributes: readonly z.infer<typeof attribute>[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
