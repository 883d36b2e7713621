import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A new directory; the caller removes it. */
export async function makeTemporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "remex-e2e-"));
}

/** A new directory, removed when the running test ends. */
export async function temporaryDirectory(): Promise<string> {
  const path = await makeTemporaryDirectory();
  onTestFinished(() => removeDirectory(path));
  return path;
}

export async function removeDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 5 });
}
