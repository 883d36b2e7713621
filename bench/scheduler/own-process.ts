import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Measurement } from "./measure.ts";
import type { Size } from "./workload.ts";

/** Measures a size in a process of its own: no size has another's garbage or another's optimised code. */
export async function measureInOwnProcess(size: Size, actions: number): Promise<Measurement> {
  const options = Object.entries({ ...size, actions }).map(([name, value]) => `--${name}=${value}`);
  const script = fileURLToPath(new URL("one-size.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", script, ...options]);
  const measured: unknown = JSON.parse(stdout);
  if (!isMeasurement(measured)) throw new Error(`not a measurement: ${stdout}`);
  return measured;
}

function isMeasurement(value: unknown): value is Measurement {
  return typeof value === "object" && value !== null && "nsPerEvent" in value && "bytesPerQueued" in value;
}
