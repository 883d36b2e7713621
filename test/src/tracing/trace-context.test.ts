import { trace } from "@opentelemetry/api";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parentContext, traceparentOf } from "../../../src/tracing/trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describe("a traceparent", () => {
  it("is read and written alike", () => {
    const hex = (length: number) =>
      fc.bigInt({ min: 1n, max: 16n ** BigInt(length) - 1n }).map((value) => value.toString(16).padStart(length, "0"));
    fc.assert(
      fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, sampled) => {
        const text = `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`;
        const span = trace.getSpan(parentContext(text));
        expect(span && traceparentOf(span)).toBe(text);
      }),
    );
  });

  it("of a later version may have more", () => {
    expect(trace.getSpanContext(parentContext(`cc-${TRACE}-${SPAN}-03-what`))).toMatchObject({
      traceId: TRACE,
      spanId: SPAN,
      traceFlags: 1,
    });
  });

  it.each([
    undefined,
    null,
    "",
    "nonsense",
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
  ])("that is none begins a trace: %j", (text) => {
    expect(trace.getSpanContext(parentContext(text))).toBeUndefined();
  });
});
