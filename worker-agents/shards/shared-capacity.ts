import type { PlatformProperty } from "../platform-properties.ts";

/** What is left of an agent for one scheduler shard. */
export interface Grant {
  /** -1 for as many as the minimum properties allow. */
  readonly maxActions: number;
  readonly minimums: readonly PlatformProperty[];
}

interface Use {
  readonly shard: number;
  readonly amounts: ReadonlyMap<string, number>;
}

/**
 * An agent that several scheduler shards use. Each shard sees all of the agent less what the others' leases use, so none
 * has a fixed part that lies idle; and as a lease may cross with the news of another's, what doesn't fit is turned away.
 */
export class SharedCapacity {
  readonly #maxActions: number;
  /** Of the properties that are numbers. */
  readonly #numbers: ReadonlyMap<string, number>;
  /** Of what is used up by actions. */
  #totals: ReadonlyMap<string, number>;
  readonly #uses = new Map<string, Use>();

  /**
   * @param maxActions 0 for as many as the properties allow
   * @param properties until `useUp` says more, those with numbers for values are taken for what actions use up
   */
  constructor(maxActions: number, properties: readonly PlatformProperty[]) {
    this.#maxActions = maxActions;
    const totals = new Map<string, number>();
    for (const { name, value } of properties) {
      const amount = amountOf(value);
      if (amount !== undefined) totals.set(name, Math.max(amount, totals.get(name) ?? 0));
    }
    this.#numbers = totals;
    this.#totals = totals;
  }

  /** Running actions use up the properties of these names, and no others: a version is a number, too. */
  useUp(names: readonly string[]): void {
    this.#totals = new Map([...this.#numbers].filter(([name]) => names.includes(name)));
  }

  /**
   * Whether there is room for a lease of `shard` beside all that runs; if so, it is taken. Beside nothing there is: it is
   * the scheduler that knows what the agent can do, and to turn down what is then offered again would go on for ever.
   */
  admit(leaseId: string, shard: number, asked: readonly PlatformProperty[]): boolean {
    if (this.#maxActions > 0 && this.#uses.size >= this.#maxActions) return false;
    const amounts = new Map<string, number>();
    for (const { name, value } of asked) {
      const amount = this.#totals.has(name) ? amountOf(value) : undefined;
      if (amount !== undefined) amounts.set(name, Math.max(amount, amounts.get(name) ?? 0));
    }
    for (const [name, amount] of this.#uses.size === 0 ? [] : amounts) {
      if (amount > (this.#totals.get(name) ?? 0) - this.#used(name)) return false;
    }
    this.#uses.set(leaseId, { shard, amounts });
    return true;
  }

  release(leaseId: string): void {
    this.#uses.delete(leaseId);
  }

  /** What `shard` may use now, its own leases included. */
  grant(shard: number): Grant {
    const others = [...this.#uses.values()].filter((use) => use.shard !== shard);
    return {
      maxActions: this.#maxActions === 0 ? -1 : Math.max(this.#maxActions - others.length, 0),
      minimums: [...this.#totals].map(([name, total]) => ({
        name,
        value: String(Math.max(total - this.#used(name, shard), 0)),
      })),
    };
  }

  /** How much of a resource leases use, but for those of one shard. */
  #used(name: string, exceptShard?: number): number {
    let used = 0;
    for (const { amounts, shard } of this.#uses.values()) if (shard !== exceptShard) used += amounts.get(name) ?? 0;
    return Math.round(used * 1000) / 1000;
  }
}

/** As the scheduler reads the value of a minimum property. */
function amountOf(value: string): number | undefined {
  return /^\d{1,12}(\.\d{1,3})?$/.test(value) ? Number(value) : undefined;
}
