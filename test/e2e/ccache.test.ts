import { execFile } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Service } from "./service.ts";
import { makeTemporaryDirectory, removeDirectory } from "./temporary-directory.ts";
import { CCACHE, GCC, lacking } from "./tools.ts";

const LACKING = lacking(CCACHE, GCC);

describe.skipIf(LACKING !== "")(`ccache uses Remex as its remote storage${LACKING}`, () => {
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

  /** Runs ccache with its local storage in `local`. */
  async function ccache(local: string, layout: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(CCACHE.path, args, {
      cwd: directory,
      env: {
        PATH: process.env["PATH"],
        HOME: directory,
        CCACHE_CONFIGPATH: join(directory, "none.conf"),
        CCACHE_DIR: join(directory, local),
        CCACHE_REMOTE_STORAGE: `${service.workerUrl}/main/raw/${layout}|layout=${layout}`,
      },
    });
    return stdout;
  }

  async function compile(local: string, layout: string): Promise<Map<string, number>> {
    await rm(join(directory, "answer.o"), { force: true });
    await ccache(local, layout, GCC.path, "-c", "answer.c", "-o", "answer.o");
    const lines = (await ccache(local, layout, "--print-stats")).trim().split("\n");
    return new Map(lines.map((line) => line.split("\t")).map(([name = "", count]) => [name, Number(count)]));
  }

  it.each(["flat", "subdirs"])("finds what another machine compiled, with the layout %s", async (layout) => {
    const first = await compile(`${layout}-first`, layout);
    const second = await compile(`${layout}-second`, layout);

    expect(Object.fromEntries(first)).toMatchObject({ cache_miss: 1, remote_storage_hit: 0, remote_storage_error: 0 });
    expect(Object.fromEntries(second)).toMatchObject({ cache_miss: 0, remote_storage_hit: 1, remote_storage_error: 0 });
  });
});
