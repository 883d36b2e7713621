/** Something that stays as long as somebody needs it. */
export interface Pinned {
  pins: number;
}

/** Keeps what one action needs until it is released. */
export class Pins {
  readonly #pinned: Pinned[] = [];
  readonly #onRelease: () => void;

  constructor(onRelease: () => void) {
    this.#onRelease = onRelease;
  }

  add(entry: Pinned): void {
    entry.pins++;
    this.#pinned.push(entry);
  }

  release(): void {
    for (const entry of this.#pinned.splice(0)) entry.pins--;
    this.#onRelease();
  }
}
