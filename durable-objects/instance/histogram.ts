/** Durations counted by size, as Prometheus has them: `counts[i]` are those of at most `boundsMs[i]`, the last all others. */
export interface HistogramSnapshot {
  readonly boundsMs: number[];
  /** One more than there are bounds. Not cumulative. */
  readonly counts: number[];
  readonly sumMs: number;
}

/** From what a cached link takes to what only a timeout ends. */
const BOUNDS_MS = [10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000];

export class Histogram {
  readonly #counts: number[];
  #sumMs: number;

  /** @param saved an earlier snapshot; one with other bounds is of no use */
  constructor(saved?: HistogramSnapshot) {
    const usable = saved?.boundsMs.join() === BOUNDS_MS.join() && saved.counts.length === BOUNDS_MS.length + 1;
    this.#counts = usable ? [...saved.counts] : new Array<number>(BOUNDS_MS.length + 1).fill(0);
    this.#sumMs = usable ? saved.sumMs : 0;
  }

  record(durationMs: number): void {
    const found = BOUNDS_MS.findIndex((boundMs) => durationMs <= boundMs);
    const index = found === -1 ? BOUNDS_MS.length : found;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumMs += durationMs;
  }

  snapshot(): HistogramSnapshot {
    return { boundsMs: [...BOUNDS_MS], counts: [...this.#counts], sumMs: this.#sumMs };
  }
}
