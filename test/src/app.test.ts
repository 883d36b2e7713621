import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startWorker, type TestWorker } from "../worker.ts";
import { collect, connectClients, PROTOCOLS, refusalOf } from "./clients.ts";

let worker: TestWorker;
beforeAll(async () => {
  worker = await startWorker();
});
afterAll(() => worker.dispose());

const post = (path: string, contentType: string, body: Uint8Array<ArrayBuffer> = new Uint8Array(5)) =>
  fetch(worker.url + path, { method: "POST", headers: { "content-type": contentType }, body });

test("says that it is well", async () => {
  const response = await fetch(`${worker.url}/healthz`);
  expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
});

test.each(PROTOCOLS)(
  "a method that does not exist is unimplemented in the protocol asked for ($name)",
  async ({ connect }) => {
    const elsewhere = `${worker.url}/another-api`;
    const { capabilities, byteStream } = connectClients(elsewhere, connect(elsewhere));
    const unary = await refusalOf(capabilities.getCapabilities({ instanceName: "main" }));
    const streaming = await refusalOf(collect(byteStream.read({ resourceName: "main" })));
    for (const [refusal, method] of [
      [unary, "build.bazel.remote.execution.v2.Capabilities/GetCapabilities"],
      [streaming, "google.bytestream.ByteStream/Read"],
    ] as const) {
      expect(Code[refusal.code]).toBe("Unimplemented");
      expect(refusal.rawMessage).toBe(`there is no method another-api/${method} here`);
    }
  },
);

test.each([
  ["GET", "/nothing"],
  ["GET", "/google.bytestream.ByteStream/Read"],
  ["POST", "/nothing"],
  ["POST", "/a/b/c"],
  ["PUT", "/google.bytestream.ByteStream/Read"],
])("%s %s is not found", async (method, path) => {
  const response = await fetch(worker.url + path, { method });
  expect(response.status).toBe(404);
});

describe("what is no message", () => {
  const read = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities";
  const envelope = (length: number, ...bytes: number[]) => {
    const framed = Buffer.alloc(5 + bytes.length);
    framed.writeUInt32BE(length, 1);
    framed.set(bytes, 5);
    return framed;
  };

  test.each<[string, Uint8Array<ArrayBuffer>]>([
    ["no frame", new Uint8Array(0)],
    ["half a frame header", new Uint8Array(3)],
    ["a frame that breaks off", envelope(100, 1, 2, 3)],
    ["a frame of 4 GiB", envelope(2 ** 32 - 1, 1)],
    ["bytes that are no protobuf", envelope(4, 255, 255, 255, 255)],
    ["text that is no UTF-8", envelope(4, 10, 2, 0xc3, 0x28)],
  ])("is answered with a status and no trace of ours: %s", async (_what, body) => {
    const response = await post(read, "application/grpc-web+proto", body);
    expect(response.status).toBe(200);
    const text = `${JSON.stringify([...response.headers])}${await response.text()}`;
    expect(text).toMatch(/grpc-status: ?"?,?"?([1-9]|1[0-6])\b/);
    expect(text).not.toMatch(/worker\.js|node_modules|src\/|at async/);
  });
});

test("a fault of ours is INTERNAL with an id that the log has too, and nothing else of it", async () => {
  const lines: string[] = [];
  const broken = await startWorker({
    config: "{ stores: {}, schedulers: {}, services: { execution: [] } }",
    onLog: (line) => lines.push(line),
  });
  try {
    const { capabilities, byteStream } = connectClients(broken.url);
    const unary = await refusalOf(capabilities.getCapabilities({ instanceName: "main" }));
    const resourceName = `main/blobs/${"0".repeat(64)}/1`;
    const streaming = await refusalOf(collect(byteStream.read({ resourceName })));
    for (const refusal of [unary, streaming]) {
      const [, id = "none"] = /^internal error; the log has it under ([0-9a-f-]{36})$/.exec(refusal.rawMessage) ?? [];
      // The log comes by another way than the answer.
      await expect.poll(() => lines.find((line) => line.includes(id))).toContain("services.execution");
    }
    const response = await fetch(`${broken.url}/healthz`);
    expect(response.status).toBe(500);
    expect(await response.text()).toMatch(/^internal error; the log has it under [0-9a-f-]{36}\n$/);
  } finally {
    await broken.dispose();
  }
});
