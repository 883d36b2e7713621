import { type HeapItem, IndexedHeap } from "./indexed-heap.ts";
import { type Linked, LinkedList } from "./linked-list.ts";

/** What waits in a FairQueue. Its fields are the queue's while it waits. */
export interface QueueItem<T> extends Linked<T>, HeapItem {
  /** REAPI: lower runs first. */
  priority: number;
  /** The build that it waits with. */
  invocationId: string;
  /** Order of arrival. (Not a time: clocks are set back.) */
  readonly sequence: number;
  /** Which of its priority's rounds it belongs to; set by the queue. */
  turn: number;
}

/** The waiting items of one priority. */
interface Level<T extends QueueItem<T>> extends HeapItem {
  readonly priority: number;
  /** Those that were taken out once and came back, the oldest first. They go before all others. */
  readonly returned: IndexedHeap<T>;
  /** By invocation. */
  readonly lines: Map<string, Line<T>>;
  /** The line whose turn it is comes first. */
  readonly order: IndexedHeap<Line<T>>;
}

/** The waiting items of one build, the first to be taken first. Never empty. */
class Line<T extends QueueItem<T>> extends LinkedList<T> implements HeapItem {
  readonly invocationId: string;
  heapIndex = -1;

  constructor(invocationId: string) {
    super();
    this.invocationId = invocationId;
  }
}

/**
 * The queue of one platform group: the lowest priority value first, and within it the builds take turns.
 *
 * Time at a priority goes in rounds, of which each build has one turn. An item's turn is fixed when it comes: the round
 * after its build's last one, or the round that is under way. So the order follows from what is kept of each item, and a
 * restart doesn't change it. Every step takes O(log builds), or O(log returned items).
 */
export class FairQueue<T extends QueueItem<T>> {
  readonly #levels = new Map<number, Level<T>>();
  readonly #order = new IndexedHeap<Level<T>>((a, b) => a.priority < b.priority);
  #size = 0;
  /** The item whose turn it is. It is asked for far more often than it changes. */
  #first: T | undefined;

  get size(): number {
    return this.#size;
  }

  /** The turn that an item of the invocation would get now. */
  turnOf(priority: number, invocationId: string): number {
    const level = this.#levels.get(priority);
    const last = level?.lines.get(invocationId)?.last;
    return last === undefined ? (level?.order.peek()?.first?.turn ?? 0) : last.turn + 1;
  }

  /** A new item, at the end of its build's line. */
  push(item: T): void {
    item.turn = this.turnOf(item.priority, item.invocationId);
    this.restore(item);
  }

  /** An item that has its turn already. Those of one build must come in the order of their turns. */
  restore(item: T): void {
    const level = this.#level(item.priority);
    const line = level.lines.get(item.invocationId);
    if (line === undefined) {
      const added = new Line<T>(item.invocationId);
      added.append(item);
      level.lines.set(item.invocationId, added);
      level.order.push(added);
    } else {
      // One string for all of a build's items.
      item.invocationId = line.invocationId;
      line.append(item);
    }
    this.#size += 1;
    this.#findFirst();
  }

  /** An item that was taken out and must be taken again: it had its turn, and goes before all that haven't. */
  pushBack(item: T): void {
    this.#level(item.priority).returned.push(item);
    this.#size += 1;
    this.#findFirst();
  }

  /** The item whose turn it is, left where it is. */
  peek(): T | undefined {
    return this.#first;
  }

  /** The item must be in this queue. */
  remove(item: T): void {
    const level = this.#levels.get(item.priority);
    if (level === undefined) return;
    this.#size -= 1;
    if (item.heapIndex >= 0) level.returned.remove(item);
    else this.#leaveLine(level, item);
    if (level.order.size === 0 && level.returned.size === 0) {
      this.#levels.delete(level.priority);
      this.#order.remove(level);
    }
    this.#findFirst();
  }

  /** The oldest item of each build at each priority. */
  *heads(): Iterable<T> {
    for (const { returned, lines } of this.#levels.values()) {
      const oldest = returned.peek();
      if (oldest !== undefined) yield oldest;
      for (const { first } of lines.values()) if (first !== undefined) yield first;
    }
  }

  /** All items, in no order. */
  *[Symbol.iterator](): Iterator<T> {
    for (const { returned, lines } of this.#levels.values()) {
      yield* returned;
      for (const line of lines.values()) yield* line;
    }
  }

  #level(priority: number): Level<T> {
    const known = this.#levels.get(priority);
    if (known !== undefined) return known;
    const level: Level<T> = {
      priority,
      returned: new IndexedHeap<T>((a, b) => a.sequence < b.sequence),
      lines: new Map(),
      order: new IndexedHeap<Line<T>>((a, b) => goesBefore(a.first, b.first)),
      heapIndex: -1,
    };
    this.#levels.set(priority, level);
    this.#order.push(level);
    return level;
  }

  #findFirst(): void {
    const level = this.#order.peek();
    this.#first = level?.returned.peek() ?? level?.order.peek()?.first;
  }

  #leaveLine(level: Level<T>, item: T): void {
    const line = level.lines.get(item.invocationId);
    if (line === undefined) return;
    const wasFirst = line.first === item;
    line.remove(item);
    if (line.size === 0) {
      level.lines.delete(item.invocationId);
      level.order.remove(line);
    } else if (wasFirst) {
      level.order.update(line);
    }
  }
}

function goesBefore<T extends QueueItem<T>>(a: T | undefined, b: T | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.turn < b.turn || (a.turn === b.turn && a.sequence < b.sequence);
}
