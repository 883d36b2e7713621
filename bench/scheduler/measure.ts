import { type Size, Workload } from "./workload.ts";

/** What is measured of one size. */
export interface Measurement {
  readonly nsPerEvent: number;
  /** Heap that the queue takes, divided by its length. */
  readonly bytesPerQueued: number;
}

/** How many times the loop is timed: the processor time of this thread, of which the median counts. */
const ROUNDS = 7;
const WARM_UPS = 2;

/** Measures a scheduler of one size, with so many actions a round. Node must run with --expose-gc. */
export function measure(size: Size, actions: number): Measurement {
  // What the code itself takes on the heap is not the queue's.
  warmUp(size);
  const workload = new Workload(size);
  const beforeBytes = heapBytes();
  workload.fill();
  const bytesPerQueued = (heapBytes() - beforeBytes) / size.queued;
  const nsPerEvent = Array.from({ length: WARM_UPS + ROUNDS }, () => {
    workload.prepare(actions);
    const before = process.threadCpuUsage();
    const events = workload.run();
    const { user, system } = process.threadCpuUsage(before);
    return ((user + system) * 1000) / events;
  })
    .slice(WARM_UPS)
    .sort((a, b) => a - b)[ROUNDS >> 1];
  if (nsPerEvent === undefined) throw new Error("no round was run");
  return { nsPerEvent, bytesPerQueued };
}

function warmUp(size: Size): void {
  const workload = new Workload({ ...size, queued: 1000, agents: 10 });
  workload.fill();
  workload.prepare(1000);
  workload.run();
}

function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  globalThis.gc();
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}
