import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { vi } from "vitest";

/** Lets a test stop in the middle of an action: the action says that it has begun, and waits until it may go on. */
export class Gate {
  readonly #begun: string;
  readonly #open: string;

  /** @param directory an existing one that the test and the action both see */
  constructor(directory: string) {
    this.#begun = join(directory, "begun");
    this.#open = join(directory, "open");
  }

  /** For /bin/sh: passes when the gate is open, or after a minute, so that no action outlives a failed test for long. */
  get script(): string {
    return (
      `echo begun >> '${this.#begun}'; tries=0; ` +
      `while [ ! -e '${this.#open}' ] && [ $tries -lt 1200 ]; do sleep 0.05; tries=$((tries + 1)); done`
    );
  }

  /** How many times an action has come to the gate. */
  async arrivals(): Promise<number> {
    try {
      return (await readFile(this.#begun, "utf8")).split("\n").length - 1;
    } catch {
      return 0;
    }
  }

  /** Waits until an action has come to the gate `count` times. */
  async reached(count = 1): Promise<void> {
    await vi.waitFor(
      async () => {
        const arrivals = await this.arrivals();
        if (arrivals < count) throw new Error(`${arrivals} of ${count} actions have come to the gate`);
      },
      { timeout: 60_000, interval: 20 },
    );
  }

  async open(): Promise<void> {
    await writeFile(this.#open, "");
  }
}
