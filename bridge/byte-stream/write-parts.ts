import type { HeldRequest } from "../held-request.ts";
import { type WritePart, WriteScanner } from "./write-scanner.ts";

/** The parts of a ByteStream.Write's request, each when it is asked for. */
export class WriteParts {
  readonly #request: HeldRequest;
  readonly #scanner = new WriteScanner();
  #parts: WritePart[] = [];
  #returned = 0;

  constructor(request: HeldRequest) {
    this.#request = request;
  }

  /** Whether the request has ended within a message, if it has ended. */
  get midMessage(): boolean {
    return this.#scanner.midMessage;
  }

  /**
   * The next part, or undefined when the request has ended or the call is over.
   * @throws FrameError as WriteScanner does.
   */
  async next(): Promise<WritePart | undefined> {
    while (this.#returned === this.#parts.length) {
      const chunk = await this.#request.next();
      if (chunk === undefined) return undefined;
      this.#parts = this.#scanner.push(chunk);
      this.#returned = 0;
    }
    return this.#parts[this.#returned++];
  }
}
