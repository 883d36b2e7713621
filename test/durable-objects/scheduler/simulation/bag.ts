import type { Random } from "./random.ts";

/** A set out of which a random item is taken in O(1). */
export class Bag<T> {
  readonly #items: T[] = [];
  readonly #indexes = new Map<T, number>();

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#indexes.has(item);
  }

  add(item: T): void {
    if (this.#indexes.has(item)) return;
    this.#indexes.set(item, this.#items.length);
    this.#items.push(item);
  }

  delete(item: T): void {
    const index = this.#indexes.get(item);
    if (index === undefined) return;
    const last = this.#items.pop();
    if (last === undefined) return;
    this.#indexes.delete(item);
    if (last === item) return;
    this.#items[index] = last;
    this.#indexes.set(last, index);
  }

  clear(): void {
    this.#items.length = 0;
    this.#indexes.clear();
  }

  pick(random: Random): T | undefined {
    return random.pick(this.#items);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items[Symbol.iterator]();
  }
}
