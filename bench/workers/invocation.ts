import { AsyncLocalStorage } from "node:async_hooks";

/** The platform opens so many connections at once for one request; further ones wait for a place. */
const MAX_SIMULTANEOUS = 6;

/** The R2 operations that one request, or one event of an object, has under way. */
class Invocation {
  #underWay = 0;
  readonly #waiting: (() => void)[] = [];

  async withPlace<T>(work: () => Promise<T>): Promise<T> {
    if (this.#underWay < MAX_SIMULTANEOUS) this.#underWay++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place goes to who waits first.
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay--;
      else next();
    }
  }
}

const current = new AsyncLocalStorage<Invocation>();

/** Runs what one request or event brings about. */
export function inInvocation<T>(work: () => T): T {
  return current.run(new Invocation(), work);
}

/** Does `work` when the invocation has one of its places for it. */
export async function withPlace<T>(work: () => Promise<T>): Promise<T> {
  const invocation = current.getStore();
  return invocation === undefined ? work() : invocation.withPlace(work);
}
