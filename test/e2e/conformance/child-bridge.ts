import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const REMEX = fileURLToPath(new URL("../../../dist/remex.js", import.meta.url));

/** Starts `remex bridge` on a free port, which it returns. The process ends with this one. */
export async function startChildBridge(endpoint: string, flags: readonly string[] = []): Promise<number> {
  const args = [REMEX, "bridge", "--endpoint", endpoint, "--listen", "127.0.0.1:0", "--log-level", "error", ...flags];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  process.once("exit", () => child.kill());
  for await (const line of createInterface({ input: child.stdout })) {
    const [, port] = /^Bridge +ready at grpcs?:\/\/[^:]+:(\d+)/.exec(line) ?? [];
    if (port !== undefined) return Number(port);
  }
  throw new Error("the bridge ended before it was ready");
}
