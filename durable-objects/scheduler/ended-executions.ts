/**
 * Ended executions that can still be asked for, in the order in which they are forgotten. (A Map that is emptied from its
 * front leaves holes that each look at its first entry walks over.)
 */
export class EndedExecutions {
  readonly #ids = new Set<string>();
  /** What has been forgotten lies before `#first`. */
  #order: { readonly id: string; readonly forgetAtMs: number }[] = [];
  #first = 0;

  get size(): number {
    return this.#ids.size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** `forgetAtMs` must not be before that of one that was added earlier. */
  add(id: string, forgetAtMs: number): void {
    this.#ids.add(id);
    this.#order.push({ id, forgetAtMs });
  }

  nextForgetAtMs(): number | undefined {
    return this.#order[this.#first]?.forgetAtMs;
  }

  /** Takes out the first one, if its time has come. */
  takeDue(nowMs: number): string | undefined {
    const ended = this.#order[this.#first];
    if (ended === undefined || ended.forgetAtMs > nowMs) return undefined;
    this.#ids.delete(ended.id);
    this.#first += 1;
    if (this.#first * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#first);
      this.#first = 0;
    }
    return ended.id;
  }
}
