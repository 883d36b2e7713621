import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeDirectory } from "../../worker-agents/make-directory.ts";
import { temporaryDirectory } from "./running-agent.ts";

it("makes a directory with those above it, unless it is there", async () => {
  const path = join(await temporaryDirectory(), "a", "b", "c");
  makeDirectory(path);
  makeDirectory(path);
  expect(existsSync(path)).toBe(true);
});

it("says why it can't, where something else is in the way", async () => {
  const file = join(await temporaryDirectory(), "file");
  await writeFile(file, "");
  expect(() => {
    makeDirectory(file);
  }).toThrow("EEXIST");
  expect(() => {
    makeDirectory(join(file, "below"));
  }).toThrow("ENOTDIR");
});

it.runIf(process.platform === "linux")("does not try for ever where nothing can be made", () => {
  expect(() => {
    makeDirectory("/proc/remex/data");
  }).toThrow("ENOENT");
});
