import { afterAll, beforeAll, expect, test } from "vitest";
import { envelope } from "../../fuzz/generators/envelopes.ts";
import { sendRaw } from "../../fuzz/raw-request.ts";
import { startWorker, type TestWorker } from "../../worker.ts";

let worker: TestWorker;

beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker.dispose());

/** A unary method and one that streams. */
const METHODS = [
  "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
  "/google.bytestream.ByteStream/Write",
] as const;

const CONTENT_TYPES = [
  { method: METHODS[0], type: "application/grpc-web+", framed: true },
  { method: METHODS[0], type: "application/", framed: false },
  { method: METHODS[1], type: "application/grpc-web+", framed: true },
  { method: METHODS[1], type: "application/connect+", framed: true },
] as const;

/** A tag of wire type 7, which there isn't. */
const MALFORMED = Uint8Array.of(0x0f);

test.each(CONTENT_TYPES)("$method as $type…: a message that can't be parsed is INVALID_ARGUMENT", async (row) => {
  const { framed, method: path, type } = row;
  const body = framed ? envelope(MALFORMED) : MALFORMED;
  const headers = { "content-type": `${type}proto` };
  const answer = await sendRaw(worker.url, { method: "POST", path, headers, body });
  expect(answer.code).toBe("INVALID_ARGUMENT");
  expect(answer.text).toContain("illegal tag");
});

test.each(CONTENT_TYPES)(
  "$method as $type…: a message may quote a text that was cut within a character",
  async (row) => {
    const { framed, method: path, type } = row;
    // JSON.parse names the first half of the pair alone.
    const json = new TextEncoder().encode("\u{1f600}");
    const body = framed ? envelope(json) : json;
    const headers = { "content-type": `${type}json` };
    const answer = await sendRaw(worker.url, { method: "POST", path, headers, body });
    expect(answer.code).toBe("INVALID_ARGUMENT");
  },
);

test("an error of a service may quote a text that was cut within a character", async () => {
  const instanceName = `${"x".repeat(255)}\u{1f600}`;
  const body = envelope(new TextEncoder().encode(JSON.stringify({ instanceName })));
  const headers = { "content-type": "application/grpc-web+json" };
  const answer = await sendRaw(worker.url, { method: "POST", path: METHODS[0], headers, body });
  expect(answer.code).toBe("INVALID_ARGUMENT");
  expect(answer.text).toContain("unknown instance_name");
});
