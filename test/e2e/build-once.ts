import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Bundles dist/, so that what is tested is what the tree says. */
export async function setup(): Promise<void> {
  await promisify(execFile)(process.execPath, ["build.js"]);
}
