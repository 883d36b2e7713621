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
      `echo $$ >> '${this.#begun}'; tries=0; ` +
      `while [ ! -e '${this.#open}' ] && [ $tries -lt 1200 ]; do sleep 0.05; tries=$((tries + 1)); done`
    );
  }

  /** The process ids of the shells that have come to the gate: one for each attempt at an action. */
  async arrivals(): Promise<number[]> {
    try {
      const lines = await readFile(this.#begun, "utf8");
      return lines.split("\n").filter(Boolean).map(Number);
    } catch {
      return [];
    }
  }

  /** Waits until an action has come to the gate `count` times. */
  async reached(count = 1): Promise<void> {
    await vi.waitFor(
      async () => {
        const { length } = await this.arrivals();
        if (length < count) throw new Error(`${length} of ${count} actions have come to the gate`);
      },
      { timeout: 60_000, interval: 20 },
    );
  }

  async open(): Promise<void> {
    await writeFile(this.#open, "");
  }
}
