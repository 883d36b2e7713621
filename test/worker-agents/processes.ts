import { readFileSync } from "node:fs";
import { expect, vi } from "vitest";

/** Waits until a process has gone; one that waits for its parent to notice has gone, too. */
export async function waitUntilGone(pid: number): Promise<void> {
  expect(pid).toBeGreaterThan(1);
  await vi.waitFor(() => {
    expect(isRunning(pid)).toBe(false);
  }, 10_000);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return process.platform !== "linux";
  }
}
