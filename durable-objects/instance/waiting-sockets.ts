/**
 * How many sockets the object may have when one of a client comes, which waits for an action's end or reads what it writes.
 * The platform lets an object have some 32,000: what is left is for agents.
 */
export const MAX_SOCKETS = 30_000;

/** Whether there is room for one more client that waits. */
export class WaitingSockets {
  readonly #context: DurableObjectState;
  readonly #max: number;
  /** Of all sockets; not known before it is asked for, since an object wakes up often and has many. */
  #count: number | undefined;
  /** The platform may tell of the same end twice. */
  readonly #gone = new WeakSet<WebSocket>();

  constructor(context: DurableObjectState, max: number) {
    this.#context = context;
    this.#max = max;
  }

  hasRoom(): boolean {
    this.#count ??= this.#context.getWebSockets().length;
    return this.#count < this.#max;
  }

  /** A socket was accepted, of whatever kind. */
  came(): void {
    if (this.#count !== undefined) this.#count += 1;
  }

  /** A socket is gone, of whatever kind. */
  went(socket: WebSocket): void {
    if (this.#count === undefined || this.#gone.has(socket)) return;
    this.#gone.add(socket);
    this.#count -= 1;
  }
}
