import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { temporaryDirectory } from "./running-agent.ts";

/** A pipe with a name: whoever reads it waits until it is opened. */
export async function gate(): Promise<{ readonly path: string; readonly open: (content: string) => Promise<void> }> {
  const path = join(await temporaryDirectory(), "gate");
  await promisify(execFile)("mkfifo", [path]);
  return { path, open: (content) => writeFile(path, content) };
}
