/** A ByteStream.Read, read as text. */
export class TextStream {
  readonly #chunks: AsyncIterator<{ readonly data: Uint8Array }>;

  constructor(chunks: AsyncIterable<{ readonly data: Uint8Array }>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next chunk; undefined at the end. */
  async next(): Promise<string | undefined> {
    const next = await this.#chunks.next();
    return next.done === true ? undefined : new TextDecoder().decode(next.value.data);
  }

  async rest(): Promise<string> {
    let text = "";
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) text += chunk;
    return text;
  }
}
