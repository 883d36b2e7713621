import { rm, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Logger } from "pino";
import { errorMessage, isDiskFull } from "./system-error.ts";

/** What is written to see whether there is room: a quota, or a lack of inodes, shows in no count of free bytes. */
const PROBE_BYTES = 1024 * 1024;

export interface DiskSpaceOptions {
  /** A path on the disk for a file that is removed again. */
  readonly newProbe: () => string;
  /** With less free space the disk is full. There is room again with twice as much. */
  readonly minFreeBytes: number;
  readonly checkIntervalMs: number;
  readonly logger: Logger;
  /** Gives up what is only kept for speed, up to so many bytes. */
  readonly release: (bytes: number) => Promise<void>;
  /** The disk has become full, or there is room again. */
  readonly onChange: () => void;
}

/** A command may have failed for want of disk space. */
export class DiskFullError extends Error {
  override readonly name = "DiskFullError";
  readonly code = "ENOSPC";
}

/** Whether the agent's disk has room for actions. Looks now and then, and whenever something has failed for it. */
export class DiskSpace {
  readonly #options: DiskSpaceOptions;
  #timer: NodeJS.Timeout | undefined;
  #full = false;
  #checking: Promise<void> | undefined;

  constructor(options: DiskSpaceOptions) {
    this.#options = options;
  }

  /** Has looked once when it resolves, and goes on until `close`. */
  async watch(): Promise<void> {
    this.#timer = setInterval(() => void this.check(), this.#options.checkIntervalMs);
    await this.check();
  }

  get full(): boolean {
    return this.#full;
  }

  /** Something failed: if it was for a full disk, it is known from now on. */
  failed(error: unknown): void {
    if (isDiskFull(error)) this.#become(true, errorMessage(error));
  }

  /** Looks at the disk. Never rejects. */
  async check(): Promise<void> {
    this.#checking ??= this.#check().finally(() => (this.#checking = undefined));
    await this.#checking;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    const { minFreeBytes, release, newProbe, logger } = this.#options;
    const probe = newProbe();
    try {
      const enoughBytes = 2 * minFreeBytes;
      let freeBytes = await this.#freeBytes(probe);
      if (freeBytes < (this.#full ? enoughBytes : minFreeBytes)) {
        await release(enoughBytes - freeBytes);
        freeBytes = await this.#freeBytes(probe);
      }
      if (this.#full && freeBytes >= enoughBytes) {
        await writeFile(probe, new Uint8Array(PROBE_BYTES), { flag: "wx" });
        this.#become(false, `${freeBytes} bytes are free`);
      } else if (freeBytes < minFreeBytes) {
        this.#become(true, `${freeBytes} bytes are free, and an agent keeps ${minFreeBytes}`);
      }
    } catch (error) {
      if (isDiskFull(error)) this.#become(true, errorMessage(error));
      else logger.warn({ error: errorMessage(error) }, "cannot see how full the disk is");
    } finally {
      await rm(probe, { force: true }).catch((error: unknown) => {
        logger.warn({ path: probe, error: errorMessage(error) }, "cannot remove a file that was a probe");
      });
    }
  }

  async #freeBytes(probe: string): Promise<number> {
    const { bavail, bsize } = await statfs(dirname(probe));
    return bavail * bsize;
  }

  #become(full: boolean, why: string): void {
    if (this.#full === full) return;
    this.#full = full;
    const { logger, onChange } = this.#options;
    if (full) logger.error({ why }, "the disk of the work directory is full: no new action until there is room again");
    else logger.info({ why }, "there is room on the disk again: taking actions");
    onChange();
  }
}
