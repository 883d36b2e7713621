import { expect, test } from "vitest";
import { measureInOwnProcess } from "../../../bench/scheduler/own-process.ts";

test("a tiny scheduler can be measured", async () => {
  const measured = await measureInOwnProcess({ queued: 1000, agents: 3, groups: 2, invocations: 2 }, 1000);
  expect(measured.nsPerEvent).toBeGreaterThan(0);
  expect(measured.bytesPerQueued).toBeGreaterThan(0);
});
