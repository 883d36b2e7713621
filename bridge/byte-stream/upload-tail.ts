/** What a tail of full size is divided into. */
const SLABS = 256;

/**
 * What the tails of all uploads may hold together, in slabs. As many as a tail of full size has are kept for those to come
 * beside it.
 */
export class UploadMemory {
  /** A tail that holds anything has one at least. */
  readonly slabBytes: number;
  readonly #maxBytes: number;
  readonly #maxTailBytes: number;
  #tails = 0;
  readonly #spare: Uint8Array[] = [];

  /** @param maxTailBytes what a single upload holds at most, though there be room */
  constructor(maxBytes: number, maxTailBytes: number) {
    this.slabBytes = Math.max(Math.ceil(maxTailBytes / SLABS), 1);
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

  takeSlab(): Uint8Array {
    return this.#spare.pop() ?? new Uint8Array(this.slabBytes);
  }

  /** Takes slabs back, and keeps of them what a tail of full size has. */
  giveSlabs(slabs: readonly Uint8Array[]): void {
    this.#spare.push(...slabs.slice(0, SLABS - this.#spare.length));
  }
}

/**
 * The latest data of an upload, to be sent again if a request breaks off before the endpoint has stored them.
 *
 * They are copied into slabs that are used again and again. The sockets' own buffers, held until they are old, had V8
 * collect its whole heap time and again, at a third of the CPU time of an upload of 1 GiB.
 */
export class UploadTail {
  readonly #memory: UploadMemory;
  readonly #onClose: () => void;
  /** In order, each full but the last. */
  #slabs: Uint8Array[] = [];
  /** Where the first slab begins, which may lie before what is held. */
  #slabsOffset: number;
  #startOffset: number;
  #endOffset: number;

  constructor(offset: number, memory: UploadMemory, onClose: () => void) {
    this.#slabsOffset = offset;
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
    for (let copied = 0; copied < data.length;) {
      const { slab, at } = this.#slabWithRoom();
      const piece = data.subarray(copied, copied + slab.length - at);
      slab.set(piece, at);
      copied += piece.length;
      this.#endOffset += piece.length;
    }
  }

  /** Lets go of what lies before `offset`. */
  dropBefore(offset: number): void {
    this.#startOffset = Math.max(this.#startOffset, Math.min(offset, this.#endOffset));
    while (this.#slabs.length > 0 && this.#slabsOffset + this.#memory.slabBytes <= this.#startOffset) this.#dropFirst();
  }

  /** Whether all from `offset` to the end is here, be it nothing. */
  reaches(offset: number): boolean {
    return offset >= this.#startOffset && offset <= this.#endOffset;
  }

  /**
   * A copy of data from `offset` on, though not of all where they lie in several slabs.
   * @returns undefined if there are none here
   */
  copyFrom(offset: number): Uint8Array | undefined {
    if (!this.reaches(offset)) return undefined;
    const { slabBytes } = this.#memory;
    const first = Math.floor((offset - this.#slabsOffset) / slabBytes);
    const slabOffset = this.#slabsOffset + first * slabBytes;
    const data = this.#slabs[first]?.slice(offset - slabOffset, this.#endOffset - slabOffset);
    return data === undefined || data.length === 0 ? undefined : data;
  }

  close(): void {
    this.#memory.giveSlabs(this.#slabs);
    this.#slabs = [];
    this.#onClose();
  }

  /** The last slab, or another behind it if it is full, and where in it the data end. */
  #slabWithRoom(): { readonly slab: Uint8Array; readonly at: number } {
    const { slabBytes } = this.#memory;
    const at = this.#endOffset - this.#slabsOffset - (this.#slabs.length - 1) * slabBytes;
    const last = this.#slabs.at(-1);
    if (last !== undefined && at < slabBytes) return { slab: last, at };
    const most = Math.max(Math.floor(this.#memory.shareBytes / slabBytes), 1);
    while (this.#slabs.length >= most) this.#dropFirst();
    const slab = this.#memory.takeSlab();
    this.#slabs.push(slab);
    return { slab, at: 0 };
  }

  #dropFirst(): void {
    this.#memory.giveSlabs(this.#slabs.splice(0, 1));
    this.#slabsOffset += this.#memory.slabBytes;
    this.#startOffset = Math.max(this.#startOffset, this.#slabsOffset);
  }
}
