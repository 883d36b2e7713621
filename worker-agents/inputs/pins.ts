/** Something that stays as long as somebody needs it. */
export interface Pinned {
  pins: number;
  /** Which pins held it last: later ones have a higher number. */
  usedAt: number;
}

/** Keeps what one action needs until it is released. */
export class Pins {
  readonly #pinned: Pinned[] = [];
  /** Later pins have a higher number. */
  readonly usedAt: number;
  readonly #onRelease: () => void;

  constructor(usedAt: number, onRelease: () => void) {
    this.usedAt = usedAt;
    this.#onRelease = onRelease;
  }

  add(entry: Pinned): void {
    entry.pins++;
    entry.usedAt = Math.max(entry.usedAt, this.usedAt);
    this.#pinned.push(entry);
  }

  release(): void {
    for (const entry of this.#pinned.splice(0)) entry.pins--;
    this.#onRelease();
  }
}
