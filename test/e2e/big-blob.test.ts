import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { bundleBench, BUNDLES } from "../bench/bench-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

it("a blob arrives whole though the bridge and the Worker are killed and connections cut in the middle", async () => {
  await bundleBench();
  const args = [`${BUNDLES}/big-blob.js`, "--bytes", "64000000", "--dir", await temporaryDirectory()];

  const { stdout } = await promisify(execFile)(process.execPath, args);

  for (const name of [
    "the bridge is killed",
    "workerd is killed",
    "client's connection is cut",
    "bridge's connections are cut",
  ]) {
    expect(stdout).toContain(name);
  }
  expect(stdout).toMatch(/^4 breaks, \d of which the client noticed/m);
  expect(stdout).toMatch(/^what was read has the same sha256$/m);
});
