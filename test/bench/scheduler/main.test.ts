import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const bench = (...args: readonly string[]) =>
  promisify(execFile)(process.execPath, ["bench/scheduler/main.ts", "--scale", "tiny", ...args]);

test("the scheduler's bench prints a row for each number of groups and agents, and how the cost grows", async () => {
  const { stdout } = await bench();
  // So few actions may seem to take less memory than none.
  const figure = "\\s+-?[\\d.]+[k×]?";
  expect(stdout).toMatch(/^groups +agents +100 +1k +100 → 1k +100 +1k$/m);
  for (const groups of [1, 2]) expect(stdout).toMatch(new RegExp(`^ *${groups}\\s+10(${figure}){5}$`, "m"));
  expect(stdout).toMatch(/grows at most [\d.]+× from 100 to 1000 queued/);
});

test("or a line of JSON for each measurement", async () => {
  const { stdout } = await bench("--json");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatchObject({ groups: 1, agents: 10, queued: 100 });
});
