/** What the tails of all uploads may hold together. */
export class UploadMemory {
  readonly #maxBytes: number;
  readonly #maxTailBytes: number;
  #tails = 0;

  /** @param maxTailBytes what a single upload holds at most, though there be room */
  constructor(maxBytes: number, maxTailBytes: number) {
    this.#maxBytes = maxBytes;
    this.#maxTailBytes = maxTailBytes;
  }

  /** What each tail may hold now. */
  get shareBytes(): number {
    return Math.min(this.#maxTailBytes, this.#maxBytes / Math.max(this.#tails, 1));
  }

  /** The tail of an upload that begins at `offset`; it is to be closed when the upload is over. */
  open(offset: number): UploadTail {
    this.#tails++;
    return new UploadTail(offset, this, () => {
      this.#tails--;
    });
  }
}

/** The latest data of an upload, to be sent again if a request breaks off before the endpoint has stored them. */
export class UploadTail {
  readonly #memory: UploadMemory;
  readonly #onClose: () => void;
  #pieces: Uint8Array[] = [];
  #startOffset: number;
  #endOffset: number;

  constructor(offset: number, memory: UploadMemory, onClose: () => void) {
    this.#startOffset = offset;
    this.#endOffset = offset;
    this.#memory = memory;
    this.#onClose = onClose;
  }

  /** Where the data end that were appended. */
  get endOffset(): number {
    return this.#endOffset;
  }

  append(data: Uint8Array): void {
    this.#pieces.push(data);
    this.#endOffset += data.length;
    const { shareBytes } = this.#memory;
    while (this.#endOffset - this.#startOffset > shareBytes) this.#dropFirst();
  }

  /** Lets go of what lies before `offset`, as far as pieces lie there whole. */
  dropBefore(offset: number): void {
    for (let [first] = this.#pieces; first !== undefined; [first] = this.#pieces) {
      if (this.#startOffset + first.length > offset) return;
      this.#dropFirst();
    }
  }

  /** The data from `offset` to the end; undefined if they are no longer, or not yet, here. */
  from(offset: number): Uint8Array[] | undefined {
    if (offset < this.#startOffset || offset > this.#endOffset) return undefined;
    let at = this.#startOffset;
    return this.#pieces.flatMap((piece) => {
      const rest = piece.subarray(Math.max(offset - at, 0));
      at += piece.length;
      return rest.length > 0 ? [rest] : [];
    });
  }

  close(): void {
    this.#pieces = [];
    this.#onClose();
  }

  #dropFirst(): void {
    this.#startOffset += this.#pieces.shift()?.length ?? 0;
  }
}
