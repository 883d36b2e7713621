// What the Worker's isolate holds while many large blobs are stored at once.
//
//   npm run bench:isolate-memory [-- --uploads 64 --bytes 67108864]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { Command, Option } from "commander";
import { z } from "zod";
import { LOCAL_WORKER } from "../../cli/local-worker.ts";
import { parsePositiveInteger } from "../../cli/options.ts";
import { createConnectCaller } from "../calls/connect-caller.ts";
import { BlobSource } from "../fixtures/blobs.ts";
import { writeStream } from "../fixtures/upload.ts";
import { Inspector } from "../remex/inspector.ts";
import { startWorkerd } from "../remex/workerd.ts";

const MIB = 1 << 20;
const DEADLINE_MS = 30 * 60_000;
const SAMPLE_MS = 100;
const POKE_MS = 500;
/** A workerd that is busy with some uploads may not read the head of another within its 15 s, and resets the connection. */
const STAGGER_MS = 100;

const usageSchema = z.object({
  usedSize: z.number(),
  embedderHeapUsedSize: z.number(),
  backingStorageSize: z.number(),
});

const { bytes, uploads } = new Command("npm run bench:isolate-memory --")
  .description(
    "Starts the Worker, stores so many blobs at once straight at it, and prints the most that its isolate has held: the " +
      "heap, and the array buffers beside it, as the inspector tells them.",
  )
  .addOption(new Option("--uploads <n>", "blobs at once").default(64).argParser(parsePositiveInteger))
  .addOption(new Option("--bytes <n>", "size of each").default(64 * MIB).argParser(parsePositiveInteger))
  .parse()
  .opts<{ bytes: number; uploads: number }>();

const directory = await mkdtemp(join(tmpdir(), "remex-isolate-memory-"));
try {
  await run();
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const { bindings, durableObjects, r2Buckets } = LOCAL_WORKER;
  const worker = await startWorkerd({
    script: join(import.meta.dirname, "worker.js"),
    dataDirectory: directory,
    worker: { bindings, durableObjects, r2Buckets },
    inspected: true,
  });
  if (worker.inspectorUrl === undefined) throw new Error("a workerd that is inspected has an inspector");
  const inspector = await Inspector.connect(worker.inspectorUrl);
  const caller = createConnectCaller(worker.url, DEADLINE_MS);
  try {
    const blobs = new BlobSource();
    const idle = await heldAtLeast(inspector, worker.url);
    print(`at rest: ${text(idle)}`);
    const outcomes = new Map<string, number>();
    const startMs = performance.now();
    const over = new AbortController();
    const all = Promise.all(
      Array.from({ length: uploads }, async (_, index) => {
        await setTimeout(index * STAGGER_MS);
        const outcome = await writeStream(caller, "main", blobs.streamed(bytes)).then(() => "stored", said);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }),
    ).finally(() => {
      over.abort();
    });
    let [peak, samples] = [0, 0];
    while (!over.signal.aborted) {
      peak = Math.max(peak, await heldAtLeast(inspector, worker.url));
      samples++;
      await setTimeout(SAMPLE_MS);
    }
    await all;
    print(`${uploads} uploads of ${bytes} bytes at once, in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
    print(`the isolate held at most ${text(peak)} beside garbage, by ${samples} samples`);
    for (const [outcome, count] of outcomes) print(`${count} × ${outcome}`);
  } finally {
    caller.close();
    inspector.close();
    await worker.stop();
  }
}

/** What the isolate holds when its garbage has been collected, in bytes. */
async function heldAtLeast(inspector: Inspector, workerUrl: URL): Promise<number> {
  const collecting = inspector.call("HeapProfiler.collectGarbage", {}, z.unknown()).then(() => true);
  // It is done when the isolate runs next, which at rest it never does.
  while (!(await Promise.race([collecting, setTimeout(POKE_MS, false)]))) {
    void fetch(new URL("/healthz", workerUrl)).then((response) => response.text(), said);
  }
  const usage = await inspector.call("Runtime.getHeapUsage", {}, usageSchema);
  return usage.usedSize + usage.embedderHeapUsedSize + usage.backingStorageSize;
}

function said(error: unknown): string {
  const { code, rawMessage } = ConnectError.from(error);
  return `${Code[code]}: ${rawMessage}`;
}

function text(bytesHeld: number): string {
  return `${(bytesHeld / MIB).toFixed(1)} MiB`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
