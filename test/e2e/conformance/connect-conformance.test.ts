import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { CONFORMANCE, lacking, REFERENCE_CLIENT, REFERENCE_SERVER } from "../tools.ts";

const LACKING = lacking(CONFORMANCE, REFERENCE_CLIENT, REFERENCE_SERVER);

/** Many of the cases wait for deadlines, and they share a machine of perhaps two cores. */
const TIMEOUT_MS = 300_000;

test.skipIf(LACKING !== "")(
  `Connect's conformance cases for gRPC servers pass, with the bridge before its reference server${LACKING}`,
  { timeout: TIMEOUT_MS },
  async () => {
    expect(await run("server", REFERENCE_SERVER.path)).toMatch(/\d+ passed, 0 failed/);
  },
);

test.skipIf(LACKING !== "")(
  `Connect's conformance cases for gRPC-Web clients pass, with the bridge behind its reference client${LACKING}`,
  { timeout: TIMEOUT_MS },
  async () => {
    expect(await run("client", REFERENCE_CLIENT.path)).toMatch(/\d+ passed, 0 failed/);
  },
);

/** What the runner says; it throws with all of it if a case fails. */
async function run(mode: "client" | "server", reference: string): Promise<string> {
  const flags = ["--mode", mode, "--conf", here(`${mode}.yaml`)];
  const command = [process.execPath, here(`bridged-${mode}.ts`), reference];
  const { stdout } = await promisify(execFile)(CONFORMANCE.path, [...flags, "--", ...command]);
  return stdout;
}

function here(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
