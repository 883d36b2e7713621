import { type HeapItem, IndexedHeap } from "./indexed-heap.ts";
import { type Linked, LinkedList } from "./linked-list.ts";

/** What waits in a FairQueue. Its fields don't change while it waits. */
export interface QueueItem extends HeapItem {
  /** REAPI: lower runs first. */
  readonly priority: number;
  /** The build that it belongs to. */
  readonly invocationId: string;
  readonly queuedAtMs: number;
  /** Order of arrival, for those of one millisecond. */
  readonly sequence: number;
}

/** Whether `a` came first. */
export function olderThan(a: QueueItem, b: QueueItem): boolean {
  return a.queuedAtMs < b.queuedAtMs || (a.queuedAtMs === b.queuedAtMs && a.sequence < b.sequence);
}

/** The waiting items of one priority. */
interface Level<T extends QueueItem> extends HeapItem {
  readonly priority: number;
  readonly invocations: Map<string, Invocation<T>>;
  /** It is the first one's turn. */
  readonly turns: LinkedList<Invocation<T>>;
}

/** The waiting items of one build at one priority; in `turns` as long as there are any. */
interface Invocation<T extends QueueItem> extends Linked<Invocation<T>> {
  readonly items: IndexedHeap<T>;
}

/**
 * The queue of one platform group: the lowest priority value first; within it the invocations take turns, one item each,
 * and the items of an invocation come by age. Every step takes O(log n).
 */
export class FairQueue<T extends QueueItem> {
  readonly #levels = new Map<number, Level<T>>();
  readonly #order = new IndexedHeap<Level<T>>((a, b) => a.priority < b.priority);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /**
   * @param turn where the item's invocation comes in if nothing of it waits yet: `last` for new work; `first` for work
   * that had its turn and must be done again, so that a retry doesn't go to the back
   */
  push(item: T, turn: "first" | "last"): void {
    let level = this.#levels.get(item.priority);
    if (level === undefined) {
      level = { priority: item.priority, invocations: new Map(), turns: new LinkedList(), heapIndex: -1 };
      this.#levels.set(item.priority, level);
      this.#order.push(level);
    }
    let invocation = level.invocations.get(item.invocationId);
    if (invocation === undefined) {
      invocation = { items: new IndexedHeap<T>(olderThan), previous: undefined, next: undefined };
      level.invocations.set(item.invocationId, invocation);
      if (turn === "first") level.turns.prepend(invocation);
      else level.turns.append(invocation);
    }
    invocation.items.push(item);
    this.#size += 1;
  }

  /** The item whose turn it is, left where it is. */
  peek(): T | undefined {
    return this.#order.peek()?.turns.first?.items.peek();
  }

  /** Takes the item whose turn it is; the next turn is another invocation's. */
  pop(): T | undefined {
    const level = this.#order.peek();
    const invocation = level?.turns.first;
    const item = invocation?.items.peek();
    if (level === undefined || invocation === undefined || item === undefined) return undefined;
    this.remove(item);
    if (invocation.items.size > 0) {
      level.turns.remove(invocation);
      level.turns.append(invocation);
    }
    return item;
  }

  /** The item must be in this queue. */
  remove(item: T): void {
    const level = this.#levels.get(item.priority);
    const invocation = level?.invocations.get(item.invocationId);
    if (level === undefined || invocation === undefined) return;
    invocation.items.remove(item);
    this.#size -= 1;
    if (invocation.items.size > 0) return;
    level.invocations.delete(item.invocationId);
    level.turns.remove(invocation);
    if (level.invocations.size > 0) return;
    this.#levels.delete(level.priority);
    this.#order.remove(level);
  }

  /** The oldest item of each invocation at each priority. */
  *heads(): Iterable<T> {
    for (const level of this.#levels.values()) {
      for (const { items } of level.invocations.values()) {
        const head = items.peek();
        if (head !== undefined) yield head;
      }
    }
  }

  /** All items, in no order. */
  *[Symbol.iterator](): Iterator<T> {
    for (const level of this.#levels.values()) {
      for (const invocation of level.invocations.values()) yield* invocation.items;
    }
  }
}
