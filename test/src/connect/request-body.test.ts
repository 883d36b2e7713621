import type { ClientRequest } from "node:http";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../../worker.ts";
import { postUnfinished } from "../unfinished-request.ts";

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker({ entryPoint: "test/src/connect/body-worker/body-worker.ts" });
});
afterAll(() => worker.dispose());

/** A request that has begun with ten bytes, and the lines that tell of its body. */
async function slowRequest(query = ""): Promise<{ sent: ClientRequest; next: () => Promise<string | undefined> }> {
  const { sent, response } = await postUnfinished(`${worker.url}/${query}`, 10);
  const lines = createInterface({ input: response })[Symbol.asyncIterator]();
  return {
    sent,
    next: async () => {
      const { done, value } = await lines.next();
      return done === true ? undefined : value;
    },
  };
}

test("the first bytes are had at once, and what follows in chunks that are worth the trouble", async () => {
  const { next, sent } = await slowRequest();
  expect(await next()).toBe("10");
  for (let i = 0; i < 50; i++) sent.write(Buffer.alloc(4000));
  sent.end();
  const lengths: number[] = [];
  for (let line = await next(); line !== "end"; line = await next()) lengths.push(Number(line));
  expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(200_000);
  for (const length of lengths.slice(0, -1)) expect(length).toBeGreaterThanOrEqual(32 << 10);
});

test("a client that falls silent is given up, and told that it may try again", async () => {
  const { next, sent } = await slowRequest();
  expect(await next()).toBe("10");
  expect(await next()).toBe("[unavailable] no byte of the request came for 0.5 s; send it again");
  sent.destroy();
});

test("bytes that must not be had end the body", async () => {
  const { next, sent } = await slowRequest("?most=9");
  expect(await next()).toBe("Error: no more");
  sent.destroy();
});
