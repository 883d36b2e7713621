export interface RecentMapOptions<V> {
  /** How long an entry is kept. */
  readonly ttlMs: number;
  readonly maxEntries: number;
  /** What the values may weigh together. */
  readonly maxBytes?: number;
  readonly bytesOf?: (value: V) => number;
  /** Told of each entry that is dropped because of its age or for lack of room. */
  readonly onDropped?: (value: V) => void;
  /** A clock in ms that never goes back. */
  readonly now?: () => number;
}

interface Entry<V> {
  readonly value: V;
  readonly expiresMs: number;
}

/** A map that forgets: what is old, and, when it is full, what was set longest ago. */
export class RecentMap<V> {
  readonly #options: Required<RecentMapOptions<V>>;
  /** In the order in which they were set, and so expire. */
  readonly #entries = new Map<string, Entry<V>>();
  #bytes = 0;

  constructor(options: RecentMapOptions<V>) {
    this.#options = {
      maxBytes: Infinity,
      bytesOf: () => 0,
      onDropped: () => undefined,
      now: () => performance.now(),
      ...options,
    };
  }

  /** With what is old and not dropped yet. */
  get size(): number {
    return this.#entries.size;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expiresMs > this.#options.now() ? entry.value : undefined;
  }

  /** Sets an entry anew; one that alone weighs too much is dropped at once. */
  set(key: string, value: V): void {
    const { ttlMs, maxEntries, maxBytes, bytesOf, onDropped, now } = this.#options;
    this.#remove(key);
    const nowMs = now();
    this.#entries.set(key, { value, expiresMs: nowMs + ttlMs });
    this.#bytes += bytesOf(value);
    for (const [oldest, entry] of this.#entries) {
      const full = this.#entries.size > maxEntries || this.#bytes > maxBytes;
      if (!full && entry.expiresMs > nowMs) break;
      this.#remove(oldest);
      onDropped(entry.value);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= this.#options.bytesOf(entry.value);
  }
}
