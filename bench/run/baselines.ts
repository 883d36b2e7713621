import { join } from "node:path";
import { bareDispatch } from "../baselines/bare-dispatch.ts";
import { bareQuery } from "../baselines/bare-query.ts";
import type { Baseline } from "../baselines/baseline.ts";
import { localCopy } from "../baselines/local-copy.ts";
import { localSpawn } from "../baselines/local-spawn.ts";
import { rawR2 } from "../baselines/raw-r2.ts";
import type { BlobSource } from "../fixtures/blobs.ts";
import type { BaselineName } from "../scenarios/scenario.ts";

/** Where and how baselines are started. */
export interface BaselineOptions {
  readonly bundles: string;
  /** For their data. */
  readonly directory: string;
  readonly slots: number;
  readonly blobs: BlobSource;
}

/** Those baselines that have been needed, each started once. */
export class Baselines {
  readonly #options: BaselineOptions;
  readonly #started = new Map<BaselineName, Baseline>();

  constructor(options: BaselineOptions) {
    this.#options = options;
  }

  async get(name: BaselineName): Promise<Baseline> {
    const started = this.#started.get(name) ?? (await this.#start(name));
    this.#started.set(name, started);
    return started;
  }

  async stop(): Promise<void> {
    for (const baseline of this.#started.values()) await baseline.stop();
  }

  async #start(name: BaselineName): Promise<Baseline> {
    const { bundles, directory, slots, blobs } = this.#options;
    const data = join(directory, name.replaceAll(" ", "-"));
    switch (name) {
      case "local spawn":
        return localSpawn(bundles, slots);
      case "bare dispatch":
        return bareDispatch(bundles, data, slots);
      case "local copy-and-run":
        return localCopy(bundles, data, slots);
      case "raw R2 put":
      case "raw R2 multipart put":
      case "raw R2 get":
      case "raw R2 multipart get":
        return rawR2(name, bundles, data, blobs);
      case "bare query":
        return bareQuery(bundles, data, blobs);
    }
  }
}
