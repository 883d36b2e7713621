import { once } from "node:events";
import { type ClientRequest, get, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { z } from "zod";
import { heldBytes } from "../../heap.ts";
import { startWorker, type TestWorker } from "../../worker.ts";

const standingSchema = z.object({ open: z.number(), told: z.number() });

const STREAMS = 100;
/** Each has an array of 16,384 doubles. */
const STREAM_BYTES = 128 << 10;

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker({ entryPoint: "test/src/connect/stream-worker/stream-worker.ts", inspected: true });
});
afterAll(() => worker.dispose());

/** A response that has begun. */
async function open(path: string): Promise<{ sent: ClientRequest; response: IncomingMessage }> {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const sent = get(`${worker.url}${path}`, { agent: false }, resolve);
  // It ends in the middle, and that is meant.
  sent.on("error", () => undefined);
  const response = await promise;
  response.on("error", () => undefined);
  return { sent, response };
}

async function openStream(): Promise<ClientRequest> {
  const { response, sent } = await open("/stream");
  await once(response, "data");
  return sent;
}

async function standing(): Promise<{ open: number; told: number }> {
  return standingSchema.parse(await (await fetch(worker.url)).json());
}

test("of streams whose clients left, nothing is left: no work that isn't finished, and no memory", async () => {
  const atRest = await heldBytes(worker);
  const clients = await Promise.all(Array.from({ length: STREAMS }, openStream));
  expect(await standing()).toEqual({ open: STREAMS, told: 0 });
  expect((await heldBytes(worker)) - atRest).toBeGreaterThan(STREAMS * STREAM_BYTES);

  for (const client of clients) client.destroy();
  await vi.waitFor(async () => {
    expect(await standing()).toEqual({ open: 0, told: STREAMS });
  }, 20_000);
  expect((await heldBytes(worker)) - atRest).toBeLessThan((STREAMS * STREAM_BYTES) / 10);
});

test("a client that is there and takes nothing is given up", async () => {
  const before = await standing();
  const { response, sent } = await open("/flood");
  response.pause();
  const ended = once(response, "close");
  await vi.waitFor(async () => {
    expect(await standing()).toEqual({ ...before, told: before.told + 1 });
  }, 20_000);
  response.resume();
  await ended;
  sent.destroy();
});
