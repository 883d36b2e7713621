import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../worker.ts";
import { postUnfinished } from "./unfinished-request.ts";

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker.dispose());

/** The status that comes of a request before its body is whole. */
async function statusOf(path: string, headers: Record<string, string>, bytes: number): Promise<number | undefined> {
  const { sent, response } = await postUnfinished(worker.url + path, bytes, { origin: worker.url, ...headers });
  response.resume();
  sent.on("error", () => undefined).destroy();
  return response.statusCode;
}

test.each(["/login", "/ui/main/agents/drain", "/v1/stores/MAIN_STORE/check", "/v1/stores/MAIN_STORE/reshard"])(
  "what is read whole is read up to a limit: %s",
  async (path) => {
    const type = { "content-type": "application/x-www-form-urlencoded" };
    expect(await statusOf(path, { ...type, "content-length": "70000" }, 10)).toBe(413);
    expect(await statusOf(path, { ...type, "transfer-encoding": "chunked" }, 70_000)).toBe(413);
  },
);
