import { type HeapItem, IndexedHeap } from "./indexed-heap.ts";
import { type Linked, LinkedList } from "./linked-list.ts";

/** What waits in a queue. Its fields are the queue's while it waits. */
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
 * The waiting items of one priority. Builds take turns: time goes in rounds, of which each build has one turn, and within
 * a round what came first goes first. An item's turn is fixed when it comes, so the order follows from what is kept of each
 * item, and a restart doesn't change it. Every step takes O(log builds), or O(log returned items).
 */
export class QueueLevel<T extends QueueItem<T>> implements HeapItem {
  readonly priority: number;
  heapIndex = -1;
  /** Items that were taken out once and came back, the oldest first. They go before all others. */
  readonly #returned = new IndexedHeap<T>((a, b) => a.sequence < b.sequence);
  readonly #lines = new Map<string, Line<T>>();
  /** The line whose turn it is comes first. */
  readonly #order = new IndexedHeap<Line<T>>((a, b) => goesBefore(a.first, b.first));
  /** How many lines have their next turn in which round. */
  readonly #rounds = new Map<number, number>();

  constructor(priority: number) {
    this.priority = priority;
  }

  get first(): T | undefined {
    return this.#returned.peek() ?? this.#order.peek()?.first;
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0 && this.#returned.size === 0;
  }

  /**
   * The turn that a new item of the invocation gets: the round after its build's last one. A build of which nothing waits
   * comes into the round that is under way, if nobody has had a turn of it yet: otherwise builds that come one after
   * another would keep the round going for ever.
   */
  nextTurn(invocationId: string): number {
    const last = this.#lines.get(invocationId)?.last;
    if (last !== undefined) return last.turn + 1;
    const round = this.#order.peek()?.first?.turn ?? 0;
    return this.#rounds.size > 1 ? round + 1 : round;
  }

  /** Adds an item that has its turn. Those of one build must come in the order of their turns. */
  add(item: T): void {
    const known = this.#lines.get(item.invocationId);
    if (known === undefined) {
      const line = new Line<T>(item.invocationId);
      line.append(item);
      this.#lines.set(line.invocationId, line);
      this.#order.push(line);
      this.#countRound(item.turn, 1);
    } else {
      // One string for all of a build's items.
      item.invocationId = known.invocationId;
      known.append(item);
    }
  }

  addReturned(item: T): void {
    this.#returned.push(item);
  }

  /** The item must be here. */
  remove(item: T): void {
    if (item.heapIndex >= 0) {
      this.#returned.remove(item);
      return;
    }
    const line = this.#lines.get(item.invocationId);
    if (line === undefined) return;
    const { first } = line;
    line.remove(item);
    if (first !== item) return;
    this.#countRound(item.turn, -1);
    const next = line.first;
    if (next === undefined) {
      this.#lines.delete(line.invocationId);
      this.#order.remove(line);
    } else {
      this.#order.update(line);
      this.#countRound(next.turn, 1);
    }
  }

  /** The oldest item of each build, and of those that came back. */
  *heads(): Iterable<T> {
    const oldest = this.#returned.peek();
    if (oldest !== undefined) yield oldest;
    for (const { first } of this.#lines.values()) if (first !== undefined) yield first;
  }

  /** All items, in no order. */
  *[Symbol.iterator](): Iterator<T> {
    yield* this.#returned;
    for (const line of this.#lines.values()) yield* line;
  }

  #countRound(turn: number, change: 1 | -1): void {
    const count = (this.#rounds.get(turn) ?? 0) + change;
    if (count > 0) this.#rounds.set(turn, count);
    else this.#rounds.delete(turn);
  }
}

function goesBefore<T extends QueueItem<T>>(a: T | undefined, b: T | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.turn < b.turn || (a.turn === b.turn && a.sequence < b.sequence);
}
