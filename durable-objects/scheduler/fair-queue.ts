import { IndexedHeap } from "./indexed-heap.ts";
import { type QueueItem, QueueLevel } from "./queue-level.ts";

/** The queue of one platform group: the lowest priority value first, and within it the builds take turns. */
export class FairQueue<T extends QueueItem<T>> {
  readonly #levels = new Map<number, QueueLevel<T>>();
  readonly #order = new IndexedHeap<QueueLevel<T>>((a, b) => a.priority < b.priority);
  #size = 0;
  /** The item whose turn it is. It is asked for far more often than it changes. */
  #first: T | undefined;

  get size(): number {
    return this.#size;
  }

  /** The item whose turn it is, left where it is. */
  get first(): T | undefined {
    return this.#first;
  }

  /** The turn that an item of the invocation would get now. */
  nextTurn(priority: number, invocationId: string): number {
    return this.#levels.get(priority)?.nextTurn(invocationId) ?? 0;
  }

  /** A new item, at the end of its build's line. */
  push(item: T): void {
    item.turn = this.nextTurn(item.priority, item.invocationId);
    this.restore(item);
  }

  /** An item that has its turn already. Those of one build must come in the order of their turns. */
  restore(item: T): void {
    this.#level(item.priority).add(item);
    this.#changed(1);
  }

  /** An item that was taken out and must be taken again: it had its turn, and goes before all that haven't. */
  pushBack(item: T): void {
    this.#level(item.priority).addReturned(item);
    this.#changed(1);
  }

  /** The item must be in this queue. */
  remove(item: T): void {
    const level = this.#levels.get(item.priority);
    if (level === undefined) return;
    level.remove(item);
    if (level.isEmpty) {
      this.#levels.delete(level.priority);
      this.#order.remove(level);
    }
    this.#changed(-1);
  }

  /** The oldest item of each build at each priority. */
  *heads(): Iterable<T> {
    for (const level of this.#levels.values()) yield* level.heads();
  }

  /** All items, in no order. */
  *[Symbol.iterator](): Iterator<T> {
    for (const level of this.#levels.values()) yield* level;
  }

  #level(priority: number): QueueLevel<T> {
    const known = this.#levels.get(priority);
    if (known !== undefined) return known;
    const level = new QueueLevel<T>(priority);
    this.#levels.set(priority, level);
    this.#order.push(level);
    return level;
  }

  #changed(sizeBy: 1 | -1): void {
    this.#size += sizeBy;
    this.#first = this.#order.peek()?.first;
  }
}
