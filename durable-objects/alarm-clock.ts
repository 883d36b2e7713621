/** An alarm that is due already still waits a little, so that it can't take all of the object's time. */
const MIN_DELAY_MS = 10;

/**
 * An object's one alarm. Each write of it is billed as a row, so it is only ever moved forward; when it rings, the object
 * sets it anew by all that it knows. So it may ring in vain, and never too late.
 */
export class AlarmClock {
  readonly #storage: DurableObjectStorage;
  /** What it is set for; Infinity if it isn't. */
  #atMs = Infinity;

  /**
   * To be made in the object's constructor. Nothing else happens before it is known what the alarm is set for.
   * @param dueMs when it is to ring, by what the object knows then
   */
  constructor(context: DurableObjectState, dueMs: () => number) {
    this.#storage = context.storage;
    void context.blockConcurrencyWhile(async () => {
      const setForMs = (await this.#storage.getAlarm()) ?? Infinity;
      // One that is overdue rings now, or has failed: then the platform tries it again later, or has dropped it.
      if (setForMs > Date.now()) this.#atMs = setForMs;
      this.set(dueMs());
    });
  }

  /** The alarm is ringing, and no longer set. */
  rang(): void {
    this.#atMs = Infinity;
  }

  /** @param dueMs when it is to ring at the latest; Infinity for no reason to */
  set(dueMs: number): void {
    // What is overdue must not move the alarm that is about to see to it.
    const atMs = Math.max(dueMs, Date.now() + MIN_DELAY_MS);
    if (atMs >= this.#atMs) return;
    this.#atMs = atMs;
    void this.#storage.setAlarm(atMs);
  }
}
