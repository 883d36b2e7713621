import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Counts, COUNT_NAMES, countsBetween } from "../../../src/billing/counts.ts";
import { countsSchema } from "../../../bench/bill/counts-schema.ts";
import { startWorkerd, type Workerd } from "../../../bench/remex/workerd.ts";

let directory: string;
let worker: Workerd;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "remex-counting-"));
  const { outputFiles } = await build({
    entryPoints: ["test/bench/workers/metered-worker/metered-worker.ts"],
    bundle: true,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    external: ["cloudflare:*", "node:*"],
    write: false,
  });
  const script = join(directory, "worker.js");
  await writeFile(script, outputFiles.map(({ text }) => text).join(""));
  worker = await startWorkerd({
    script,
    dataDirectory: directory,
    worker: {
      durableObjects: { OBJECT: { className: "CountedNotes", useSQLite: true } },
      r2Buckets: { BUCKET: "test" },
    },
  });
  // The object's tables are made now, and not while something else is counted.
  await call("/write");
});

afterAll(async () => {
  await worker.stop();
  await rm(directory, { recursive: true, force: true });
});

async function call(path: string): Promise<unknown> {
  const response = await fetch(new URL(path, worker.url));
  expect(response.status).toBe(200);
  return response.json();
}

async function counts(): Promise<Counts> {
  return countsSchema.parse(await call("/counts"));
}

/** What an action has answered, and what has been counted, but for what a clock or SQLite decides. */
async function counted(path: string): Promise<{ answer: unknown; counted: Partial<Counts> }> {
  const before = await counts();
  const answer = await call(path);
  const all = countsBetween(before, await counts());
  const nonZero = COUNT_NAMES.filter((name) => name !== "objectActiveMs" && name !== "objectStoredBytes")
    .map((name) => [name, all[name]] as const)
    .filter(([, count]) => count !== 0);
  return { answer, counted: Object.fromEntries(nonZero) };
}

describe("counting", () => {
  it("tells R2's classes of operations apart, and deletes are free", async () => {
    expect(await counted("/r2")).toEqual({
      answer: "12345",
      counted: { r2ClassA: 2, r2ClassB: 2, r2StoredBytes: 5 },
    });
  });

  it("counts each step of a multipart upload, and its bytes when it is complete", async () => {
    const size = 5 * 2 ** 20 + 100;

    expect(await counted("/multipart")).toEqual({
      answer: size,
      counted: { r2ClassA: 5, r2StoredBytes: size },
    });
  });

  it("counts calls of objects, and rows", async () => {
    expect(await counted("/write")).toEqual({
      answer: 6,
      counted: { objectRequests: 1, rowsRead: 6, rowsWritten: 3 },
    });
  });

  it("counts an alarm that is set as a row", async () => {
    expect(await counted("/remind")).toEqual({ answer: null, counted: { objectRequests: 1, rowsWritten: 1 } });
  });

  it("counts a call that fails, and passes the failure on", async () => {
    expect(await counted("/fail")).toEqual({ answer: "Error: as asked for", counted: { objectRequests: 1 } });
  });

  it("counts a socket as a request, and what an object hears on it", async () => {
    expect(await counted("/socket")).toEqual({ answer: "hello", counted: { objectRequests: 1, socketMessages: 1 } });
  });
});

describe("distance", () => {
  it("lets six operations of R2 be under way at once", async () => {
    expect((await counted("/six")).answer).toBe(6);
  });

  it("changes nothing about what an object answers", async () => {
    expect((await counted("/distant")).counted).toMatchObject({ objectRequests: 1 });
  });
});
