/** Gives the memory back. May be called more than once. */
export type Release = () => void;

/** So much memory, for all who take of it together and for each of its owners. */
export class MemoryBudget {
  readonly #maxBytes: number;
  readonly #maxOwnedBytes: number;
  #takenBytes = 0;
  /** What has an owner, by owner. */
  readonly #owned = new Map<string, number>();

  constructor(maxBytes: number, maxOwnedBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxOwnedBytes = maxOwnedBytes;
  }

  /**
   * Takes memory if there is room for it now.
   * @param owner whose it is, where that one decides how long the memory is held
   */
  tryTake(bytes: number, owner?: string): Release | undefined {
    if (this.#takenBytes + bytes > this.#maxBytes) return undefined;
    if (owner !== undefined && (this.#owned.get(owner) ?? 0) + bytes > this.#maxOwnedBytes) return undefined;
    this.#add(bytes, owner);
    let taken = true;
    return () => {
      if (taken) this.#add(-bytes, owner);
      taken = false;
    };
  }

  #add(bytes: number, owner: string | undefined): void {
    this.#takenBytes += bytes;
    if (owner === undefined) return;
    const ownedBytes = (this.#owned.get(owner) ?? 0) + bytes;
    if (ownedBytes === 0) this.#owned.delete(owner);
    else this.#owned.set(owner, ownedBytes);
  }
}
