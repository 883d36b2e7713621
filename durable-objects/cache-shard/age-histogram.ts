/** So many buckets are enough for a resolution of some hours over a year. */
const MAX_BUCKETS = 4096;

/**
 * How many bytes were last used when. Exact to the millisecond as long as there are few different times; then the buckets
 * become twice as wide again and again, so that it never takes more than a fixed amount of memory.
 */
export class AgeHistogram {
  #bytesByBucket = new Map<number, number>();
  #widthMs = 1;

  add(lastAccessMs: number, bytes: number): void {
    const bucket = Math.floor(lastAccessMs / this.#widthMs);
    this.#bytesByBucket.set(bucket, (this.#bytesByBucket.get(bucket) ?? 0) + bytes);
    while (this.#bytesByBucket.size > MAX_BUCKETS) this.#widen();
  }

  /**
   * The earliest time such that what was last used before it is `bytes` or more; after everything, if all of it is less.
   * Undefined if there is nothing.
   */
  cutoffMs(bytes: number): number | undefined {
    const buckets = [...this.#bytesByBucket].sort(([a], [b]) => a - b);
    let sum = 0;
    for (const [bucket, bucketBytes] of buckets) {
      sum += bucketBytes;
      if (sum >= bytes) return (bucket + 1) * this.#widthMs;
    }
    const last = buckets.at(-1);
    return last && (last[0] + 1) * this.#widthMs;
  }

  #widen(): void {
    const wider = new Map<number, number>();
    for (const [bucket, bytes] of this.#bytesByBucket) {
      const half = Math.floor(bucket / 2);
      wider.set(half, (wider.get(half) ?? 0) + bytes);
    }
    this.#bytesByBucket = wider;
    this.#widthMs *= 2;
  }
}
