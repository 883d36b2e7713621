import { Code } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RequestBody } from "../../../src/connect/request-body.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A request whose body has begun, and goes on when the test says so. */
function slowRequest() {
  const { promise: begun, resolve } = Promise.withResolvers<ReadableByteStreamController>();
  const body = new ReadableStream({ type: "bytes", start: resolve });
  const send = async (byte: number) => {
    (await begun).enqueue(Uint8Array.of(byte));
  };
  void send(1);
  return { request: new Request("http://remex.example/", { method: "POST", body, duplex: "half" }), send };
}

test("a client that falls silent is given up, and told that it may try again", async () => {
  const { request } = slowRequest();
  const chunks = new RequestBody(request, () => undefined)[Symbol.asyncIterator]();
  await chunks.next();
  const given = expect(chunks.next()).rejects.toMatchObject({ code: Code.Unavailable });
  await vi.advanceTimersByTimeAsync(60_000);
  await given;
});

test("a client that is slow is not", async () => {
  const { request, send } = slowRequest();
  const chunks = new RequestBody(request, () => undefined)[Symbol.asyncIterator]();
  await chunks.next();
  for (const byte of [2, 3, 4]) {
    const next = chunks.next();
    await vi.advanceTimersByTimeAsync(59_000);
    await send(byte);
    expect((await next).value).toEqual(Uint8Array.of(byte));
  }
});

test("bytes that must not be had end the body", async () => {
  const { request } = slowRequest();
  const chunks = new RequestBody(request, () => Promise.reject(new Error("no")))[Symbol.asyncIterator]();
  await expect(chunks.next()).rejects.toThrow("no");
});
