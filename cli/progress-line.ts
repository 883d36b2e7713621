/** How often a line is written where none can be written over. */
const LINE_INTERVAL_MS = 10_000;

/** Where it is shown: stderr, say. */
export interface ProgressOutput {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/**
 * Shows how far something long has come: on a terminal one line that is written over, elsewhere a line every ten seconds,
 * so that a log tells that it goes on.
 */
export class ProgressLine {
  readonly #output: ProgressOutput;
  #lineMs = performance.now();
  #shown = false;

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  show(text: string): void {
    if (this.#output.isTTY === true) {
      this.#output.write(`\r${text}\u001b[K`);
      this.#shown = true;
    } else if (performance.now() - this.#lineMs >= LINE_INTERVAL_MS) {
      this.#lineMs = performance.now();
      this.#output.write(`${text}\n`);
    }
  }

  /** Takes the line from the terminal, so that something else can be written. */
  clear(): void {
    if (this.#shown) this.#output.write("\r\u001b[K");
    this.#shown = false;
  }
}
