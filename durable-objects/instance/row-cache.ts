/** Beside what it holds, an entry takes about this much. */
const ENTRY_BYTES = 256;

/**
 * Rows that were lately read or written, parsed. SQLite has them all: what is not here is read from there. The least
 * recently used make room for others.
 */
export class RowCache<Row> {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, { readonly row: Row; readonly bytes: number }>();
  #bytes = 0;

  /** @param maxBytes of the rows as they are stored; parsed they take a few times that */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(key: string): Row | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.row;
  }

  /** @param bytes of the row as it is stored */
  set(key: string, row: Row, bytes: number): void {
    this.delete(key);
    const entry = { row, bytes: bytes + ENTRY_BYTES };
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
    this.#entries.delete(key);
  }
}
