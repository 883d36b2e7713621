import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { startEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { queryWriteStatus } = ByteStream.method;

describe.skipIf(process.platform === "win32")("a Unix socket", () => {
  function socketPath(): string {
    const directory = mkdtempSync(join(tmpdir(), "remex-bridge-"));
    onTestFinished(() => {
      rmSync(directory, { recursive: true });
    });
    return join(directory, "bridge.sock");
  }

  async function start(path: string) {
    const endpoint = await startEndpoint((router) => router.rpc(queryWriteStatus, () => ({ committedSize: 1n })));
    return startTestBridge(endpoint, {}, { listen: { path } });
  }

  test("carries calls, and is gone with the bridge", async () => {
    const path = socketPath();
    const bridge = await start(path);
    const { messages } = await new NativeClient(`unix:${path}`).unary(queryWriteStatus, {});
    expect(messages).toMatchObject([{ committedSize: 1n }]);
    await bridge.close();
    expect(existsSync(path)).toBe(false);
  });

  test("that a killed process left behind is replaced", async () => {
    const path = socketPath();
    const listenAndDie = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", listenAndDie]);
    expect(existsSync(path)).toBe(true);
    await start(path);
    const { status } = await new NativeClient(`unix:${path}`).unary(queryWriteStatus, {});
    expect(status.code).toBe(0);
  });

  test("that is in use is not taken over", async () => {
    const path = socketPath();
    await start(path);
    await expect(start(path)).rejects.toThrow(`can't listen on unix:${path}: the socket is in use`);
    expect(existsSync(path)).toBe(true);
  });

  test("in no directory is refused, in words", async () => {
    await expect(start(join(socketPath(), "no", "where"))).rejects.toThrow("there is no such directory");
  });
});
