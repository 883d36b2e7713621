import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableSpan, SpanProcessor } from "@opentelemetry/sdk-trace";
import { log } from "../log.ts";
import type { TracingSettings } from "./tracing-settings.ts";

/** Spans that wait to be sent; further ones are dropped. */
const MAX_WAITING = 2048;
const MAX_BATCH = 512;

/** How long a span waits for others to be sent with. */
const GATHER_MS = 500;

const EXPORT_TIMEOUT_MS = 5000;

/** A request that was to send what waits, and has not by then, was ended before it could: another one does. */
const STUCK_MS = 2 * (GATHER_MS + EXPORT_TIMEOUT_MS);

/**
 * Sends spans as OTLP over HTTP, in the form that the platform allows: there is no timer of the isolate's own, so the request
 * whose span comes first waits a little after its end, and sends what has come together. It costs nobody's answer time.
 */
export class SpanQueue implements SpanProcessor {
  readonly #settings: TracingSettings;
  readonly #waitUntil: (work: Promise<unknown>) => void;
  #waiting: ReadableSpan[] = [];
  #dropped = 0;
  #sendingUntilMs = 0;

  constructor(settings: TracingSettings, waitUntil: (work: Promise<unknown>) => void) {
    this.#settings = settings;
    this.#waitUntil = waitUntil;
  }

  onStart(): void {
    // Only what has ended is sent.
  }

  onEnd(span: ReadableSpan): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(span);
    if (Date.now() < this.#sendingUntilMs) return;
    this.#sendingUntilMs = Date.now() + STUCK_MS;
    this.#waitUntil(this.#sendSoon());
  }

  async #sendSoon(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    while (this.#waiting.length > 0) await this.#send(this.#waiting.splice(0, MAX_BATCH));
    this.#sendingUntilMs = 0;
  }

  async #send(spans: ReadableSpan[]): Promise<void> {
    const { url, headers } = this.#settings;
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (dropped > 0) log.warn({ dropped }, "spans were dropped: more came than could be sent");
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JsonTraceSerializer.serializeRequest(spans) ?? null,
        signal: AbortSignal.timeout(EXPORT_TIMEOUT_MS),
      });
      await response.body?.cancel();
      if (!response.ok) log.warn({ url, status: response.status }, "the collector refused spans");
    } catch (error) {
      log.warn({ url, error }, "spans could not be sent");
    }
  }

  async forceFlush(): Promise<void> {
    await this.#sendSoon();
  }

  shutdown(): Promise<void> {
    return this.forceFlush();
  }
}
