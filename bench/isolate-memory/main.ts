// What the Worker's isolate holds while large blobs are stored, and while they are read.
//
//   npm run bench:isolate-memory [-- --calls 64 --bytes 16777216 --mebibytes-per-second 20]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { Command, Option } from "commander";
import { parsePositiveInteger } from "../../cli/options.ts";
import { createConnectCaller } from "../calls/connect-caller.ts";
import { BlobSource, type StreamedBlob } from "../fixtures/blobs.ts";
import { readStream, writeStream } from "../fixtures/upload.ts";
import { Pace } from "../load/pace.ts";
import type { HeldMemoryMeter } from "./held-memory.ts";
import { startInspectedWorker } from "./inspected-worker.ts";

const MIB = 1 << 20;
const DEADLINE_MS = 30 * 60_000;
/** A workerd that is busy with some calls may not read the head of another within its 15 s, and resets the connection. */
const STAGGER_MS = 100;

const { bytes, calls, mebibytesPerSecond } = new Command("npm run bench:isolate-memory --")
  .description(
    "Starts the Worker, stores so many blobs at once straight at it, reads them at once, and prints the most that its " +
      "isolate has held: the heap, and the array buffers beside it, as the inspector tells them.",
  )
  .addOption(new Option("--calls <n>", "blobs at once").default(64).argParser(parsePositiveInteger))
  .addOption(new Option("--bytes <n>", "size of each").default(16 * MIB).argParser(parsePositiveInteger))
  .addOption(
    new Option(
      "--mebibytes-per-second <n>",
      "of all calls together: an isolate that is busy all the time lets the inspector in once in ten seconds",
    )
      .default(20)
      .argParser(parsePositiveInteger),
  )
  .parse()
  .opts<{ bytes: number; calls: number; mebibytesPerSecond: number }>();

const directory = await mkdtemp(join(tmpdir(), "remex-isolate-memory-"));
try {
  await run();
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const worker = await startInspectedWorker(directory);
  const { meter } = worker;
  const pace = new Pace(mebibytesPerSecond * MIB);
  const caller = createConnectCaller(worker.url, DEADLINE_MS, pace);
  try {
    const source = new BlobSource();
    const blobs = Array.from({ length: calls }, () => source.streamed(bytes));
    await measure(meter, "written", blobs, (blob) => writeStream(caller, "main", blob));
    await measure(meter, "read", blobs, (blob) => readStream(caller, "main", blob));
  } finally {
    caller.close();
    await worker.stop();
  }
}

async function measure(
  meter: HeldMemoryMeter,
  done: string,
  blobs: readonly StreamedBlob[],
  call: (blob: StreamedBlob) => Promise<void>,
): Promise<void> {
  const restBytes = await meter.held();
  const startMs = performance.now();
  const outcomes = new Map<string, number>();
  const all = Promise.all(
    blobs.map(async (blob, index) => {
      await setTimeout(index * STAGGER_MS);
      const outcome = await call(blob).then(() => done, said);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
  );
  const { mostBytes, samples, longestGapMs } = await meter.during(all);
  print(`${blobs.length} blobs of ${bytes} bytes at once, in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  for (const [outcome, count] of outcomes) print(`  ${count} × ${outcome}`);
  print(`  the isolate held ${text(restBytes)} at rest, and at most ${text(mostBytes)}, beside garbage`);
  print(`  by ${samples} samples, at most ${(longestGapMs / 1000).toFixed(2)} s apart`);
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
