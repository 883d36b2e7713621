export interface BatchLimits {
  /** How long an item waits at most for others while the group has a batch on its way. */
  readonly windowMs: number;
  readonly maxItems: number;
  /** What the items of one batch weigh together; a single one may weigh more. */
  readonly maxBytes: number;
  /** Batches on their way for one group. At the limit, items wait until one of them is back. */
  readonly maxInFlight: number;
}

interface Group<Item> {
  readonly waiting: { readonly item: Item; readonly bytes: number }[];
  waitingBytes: number;
  inFlight: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Gathers items that come at the same time into batches, one group apart from the other. The first item of a quiet group
 * goes at once, so that nobody waits for company that doesn't come.
 */
export class Batcher<Item> {
  readonly #limits: BatchLimits;
  readonly #send: (items: readonly Item[]) => Promise<void>;
  readonly #groups = new Map<string, Group<Item>>();

  /** @param send settles when the batch is over; it may not reject. */
  constructor(limits: BatchLimits, send: (items: readonly Item[]) => Promise<void>) {
    this.#limits = limits;
    this.#send = send;
  }

  add(key: string, item: Item, bytes: number): void {
    const group = this.#groups.get(key) ?? { waiting: [], waitingBytes: 0, inFlight: 0, timer: undefined };
    this.#groups.set(key, group);
    group.waiting.push({ item, bytes });
    group.waitingBytes += bytes;
    const { windowMs, maxItems, maxBytes } = this.#limits;
    if (group.inFlight === 0 || group.waiting.length >= maxItems || group.waitingBytes >= maxBytes) {
      this.#flush(key, group);
    } else {
      group.timer ??= setTimeout(() => {
        this.#flush(key, group);
      }, windowMs);
    }
  }

  /** Sends what waits, as far as the limits let it. */
  #flush(key: string, group: Group<Item>): void {
    clearTimeout(group.timer);
    group.timer = undefined;
    while (group.waiting.length > 0 && group.inFlight < this.#limits.maxInFlight) {
      group.inFlight++;
      void this.#send(this.#take(group)).finally(() => {
        group.inFlight--;
        // With others on their way the window goes on, unless it passed while there were too many of them.
        if (group.inFlight === 0 || group.timer === undefined) this.#flush(key, group);
        if (group.inFlight === 0) this.#groups.delete(key);
      });
    }
  }

  #take(group: Group<Item>): Item[] {
    let bytes = 0;
    let items = 0;
    for (const next of group.waiting) {
      if (items > 0 && (items === this.#limits.maxItems || bytes + next.bytes > this.#limits.maxBytes)) break;
      bytes += next.bytes;
      items++;
    }
    group.waitingBytes -= bytes;
    return group.waiting.splice(0, items).map(({ item }) => item);
  }
}
