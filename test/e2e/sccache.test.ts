import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { Service } from "./service.ts";
import { makeTemporaryDirectory, removeDirectory } from "./temporary-directory.ts";
import { GCC, lacking, SCCACHE } from "./tools.ts";

const LACKING = lacking(SCCACHE, GCC);

const countsSchema = z.object({ counts: z.record(z.string(), z.number()) });
const statsSchema = z.object({
  stats: z.object({
    cache_hits: countsSchema,
    cache_misses: countsSchema,
    cache_write_errors: z.number(),
    cache_errors: countsSchema,
  }),
});

describe.skipIf(LACKING !== "")(`sccache uses Remex as its WebDAV storage${LACKING}`, () => {
  let service: Service;
  let directory: string;

  beforeAll(async () => {
    [service, directory] = await Promise.all([Service.start({ args: ["--no-agent"] }), makeTemporaryDirectory()]);
    await writeFile(join(directory, "answer.c"), "int answer(void) { return 42; }\n");
  });

  afterAll(async () => {
    await removeDirectory(directory);
    await service.stop();
  });

  /** Runs sccache, whose server of `machine` keeps nothing itself. */
  async function sccache(machine: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(SCCACHE.path, args, {
      cwd: directory,
      env: {
        PATH: process.env["PATH"],
        HOME: join(directory, machine),
        SCCACHE_CONF: join(directory, "none.toml"),
        SCCACHE_SERVER_UDS: join(directory, `${machine}.sock`),
        SCCACHE_IDLE_TIMEOUT: "60",
        SCCACHE_WEBDAV_ENDPOINT: `${service.workerUrl}/main/raw`,
        SCCACHE_WEBDAV_KEY_PREFIX: "sccache/of the team",
      },
    });
    return stdout;
  }

  async function compile(machine: string): Promise<z.infer<typeof statsSchema>["stats"]> {
    await rm(join(directory, "answer.o"), { force: true });
    try {
      await sccache(machine, GCC.path, "-c", "answer.c", "-o", "answer.o");
      return statsSchema.parse(JSON.parse(await sccache(machine, "--show-stats", "--stats-format=json"))).stats;
    } finally {
      await sccache(machine, "--stop-server");
    }
  }

  it("finds what another machine compiled", async () => {
    const first = await compile("first");
    const second = await compile("second");

    const none = { cache_errors: { counts: {} }, cache_write_errors: 0 };
    expect(first).toMatchObject({ ...none, cache_misses: { counts: { "C/C++": 1 } }, cache_hits: { counts: {} } });
    expect(second).toMatchObject({ ...none, cache_misses: { counts: {} }, cache_hits: { counts: { "C/C++": 1 } } });
  });
});
