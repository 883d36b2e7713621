import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Digest } from "../../../src/digest/digest.ts";
import type { CachedFile } from "../../../worker-agents/inputs/cached-file.ts";
import { writeCachedFile } from "../../../worker-agents/inputs/cached-file.ts";
import { FileCache, type FetchBlobs } from "../../../worker-agents/inputs/file-cache.ts";
import { WorkDirectory } from "../../../worker-agents/work-directory.ts";
import { sha256 } from "../cas-server.ts";
import { SILENT, temporaryDirectory } from "../running-agent.ts";

const never = new AbortController().signal;

interface Opened {
  readonly cache: FileCache;
  readonly work: WorkDirectory;
  /** The names of the files on disk. */
  readonly stored: () => Promise<string[]>;
}

async function open(maxBytes = 1_000_000, path?: string): Promise<Opened> {
  const work = await WorkDirectory.open(path ?? (await temporaryDirectory()), SILENT);
  const cache = await FileCache.open({ work, maxBytes, logger: SILENT });
  const stored = async (): Promise<string[]> => {
    const entries = await readdir(work.cache, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  };
  return { cache, work, stored };
}

function file(content: string, isExecutable = false): CachedFile {
  return { digest: sha256(content), isExecutable };
}

/** A CAS that has these contents, and remembers what it was asked for. */
function source(...contents: readonly string[]): { readonly fetch: FetchBlobs; readonly asked: Digest[] } {
  const bytes = new Map(contents.map((content) => [sha256(content).hash, Buffer.from(content)]));
  const asked: Digest[] = [];
  const fetch: FetchBlobs = async (digests, take) => {
    asked.push(...digests);
    await turn();
    for (const digest of digests) {
      const content = bytes.get(digest.hash);
      if (content !== undefined) await take(digest, content);
    }
    return digests.filter(({ hash }) => !bytes.has(hash));
  };
  return { fetch, asked };
}

describe("the cache of input files", () => {
  it("fetches what it lacks, each content once, and says what is nowhere", async () => {
    const { cache } = await open();
    const { fetch, asked } = source("a", "b");
    const wanted = [file("a"), file("a"), file("a", true), file("b"), file("gone"), file("")];
    const pins = cache.newPins();
    expect(cache.absent(wanted)).toEqual([sha256("a"), sha256("b"), sha256("gone")]);
    expect(await cache.pin(wanted, pins, fetch, never)).toEqual([sha256("gone")]);
    expect(asked.map(({ hash }) => hash).sort()).toEqual(["a", "b", "gone"].map((text) => sha256(text).hash).sort());
    expect(await cache.pin([file("a"), file("a", true), file("b")], pins, fetch, never)).toEqual([]);
    expect(asked).toHaveLength(3);
    expect(cache.absent([file("a"), file("b")])).toEqual([]);
    expect(await readFile(cache.pathOf(file("a")), "utf8")).toBe("a");
    expect(((await stat(cache.pathOf(file("a")))).mode & 0o777).toString(8)).toBe("444");
    expect(((await stat(cache.pathOf(file("a", true)))).mode & 0o777).toString(8)).toBe("555");
    pins.release();
  });

  it("fetches once what several want at once, and again for the others if the first is called off", async () => {
    const { cache } = await open();
    const { fetch, asked } = source("x");
    const first = new AbortController();
    const failing: FetchBlobs = async () => {
      await turn();
      throw new Error("called off");
    };
    const pins = cache.newPins();
    const all = [
      cache.pin([file("x")], pins, failing, first.signal),
      cache.pin([file("x")], pins, fetch, never),
      cache.pin([file("x")], pins, fetch, never),
    ];
    await expect(all[0]).rejects.toThrow("called off");
    expect(await Promise.all(all.slice(1))).toEqual([[], []]);
    expect(asked).toEqual([sha256("x")]);
  });

  it("stops waiting for others when it is aborted", async () => {
    const { cache } = await open();
    void cache.pin([file("x")], cache.newPins(), () => new Promise(() => undefined), never);
    const stop = new AbortController();
    const waiting = cache.pin([file("x")], cache.newPins(), () => new Promise(() => undefined), stop.signal);
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  it("forgets the least recently used beyond its size, but nothing that is pinned", async () => {
    const { cache, stored } = await open(25);
    const contents = ["1111111111", "2222222222", "3333333333"];
    const { fetch, asked } = source(...contents, "4444444444");
    const pins = cache.newPins();
    await cache.pin(
      contents.map((content) => file(content)),
      pins,
      fetch,
      never,
    );
    expect(cache.absent(contents.map((content) => file(content)))).toEqual([]);
    const again = cache.newPins();
    await cache.pin([file("1111111111")], again, fetch, never);
    again.release();
    pins.release();
    // The second was used before the first, which was asked for again.
    expect(cache.absent(contents.map((content) => file(content)))).toEqual([sha256("2222222222")]);
    await expect.poll(stored).toHaveLength(2);
    expect(asked).toHaveLength(3);
    const more = cache.newPins();
    await cache.pin([file("2222222222")], more, fetch, never);
    expect(await readFile(cache.pathOf(file("2222222222")), "utf8")).toBe("2222222222");
    expect(asked).toHaveLength(4);
  });

  it("notices that a file was changed, or removed, and fetches it again", async () => {
    const { cache } = await open();
    const { fetch, asked } = source("changed", "removed");
    const wanted = [file("changed"), file("removed")];
    await cache.pin(wanted, cache.newPins(), fetch, never);
    await chmod(cache.pathOf(file("changed")), 0o644);
    await writeFile(cache.pathOf(file("changed")), "CHANGED");
    await rm(cache.pathOf(file("removed")));
    await cache.pin(wanted, cache.newPins(), fetch, never);
    expect(asked).toHaveLength(4);
    expect(await readFile(cache.pathOf(file("changed")), "utf8")).toBe("changed");
    expect(await readFile(cache.pathOf(file("removed")), "utf8")).toBe("removed");
  });

  it("takes files in, and leaves nothing of one that fails", async () => {
    const { cache, work, stored } = await open();
    const pins = cache.newPins();
    let fills = 0;
    const fill = (path: string): Promise<void> => {
      fills++;
      return writeCachedFile(path, Buffer.from("out"), false);
    };
    await Promise.all([cache.insert(file("out"), pins, fill), cache.insert(file("out"), pins, fill)]);
    expect(fills).toBe(1);
    const failing = cache.insert(file("bad"), pins, async (path) => {
      await writeFile(path, "b");
      throw new Error("disk full");
    });
    await expect(failing).rejects.toThrow("disk full");
    expect(await stored()).toHaveLength(1);
    expect(await readdir(join(work.cache, "..", "temporary"))).toEqual([]);
    await cache.insert(file("bad"), pins, (path) => writeCachedFile(path, Buffer.from("bad"), false));
    expect(await stored()).toHaveLength(2);
  });

  it("finds its files after a restart, the whole ones only", async () => {
    const path = await temporaryDirectory();
    const { fetch, asked } = source("kept", "cut short", "touched", "program");
    const wanted = [file("kept"), file("cut short"), file("touched"), file("program", true)];
    const { cache: before } = await open(1_000, path);
    await before.pin(wanted, before.newPins(), fetch, never);
    await rm(before.pathOf(file("cut short")));
    await writeFile(before.pathOf(file("cut short")), "cut");
    await chmod(before.pathOf(file("touched")), 0o644);
    await mkdir(join(path, "cache", "sha256", "zz"));
    await writeFile(join(path, "cache", "sha256", "zz", "stray"), "");
    const { cache: after, stored } = await open(1_000, path);
    expect(after.absent(wanted)).toEqual([sha256("cut short"), sha256("touched")]);
    expect(await stored()).toHaveLength(2);
    expect(await after.pin(wanted, after.newPins(), fetch, never)).toEqual([]);
    expect(asked).toHaveLength(6);
  });
});
