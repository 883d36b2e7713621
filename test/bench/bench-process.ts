import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Under dist/, so that what it imports is found; beside the one that `npm run bench` makes, so as not to disturb it. */
export const BUNDLES = "dist/bench-test";

export interface BenchRun {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function bundleBench(): Promise<void> {
  await promisify(execFile)(process.execPath, ["bench/build.js", BUNDLES]);
}

/** Runs the bench as its npm script does. A run that fails is a result too. */
export async function runBench(...args: readonly string[]): Promise<BenchRun> {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${BUNDLES}/bench.js`, ...args], { maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ exitCode, stdout, stderr });
    });
  });
}
