// Stores one very large blob through the bridge while the bridge and the Worker are killed and connections are cut, reads it
// back and compares its hash.
//
//   npm run bench:big-blob [-- --bytes 10000000000]
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Command, Option } from "commander";
import { parsePositiveInteger } from "../../cli/options.ts";
import { packageDirectory } from "../../cli/package-directory.ts";
import { ByteStream, ReadRequestSchema, ReadResponseSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { type Caller, encode } from "../calls/caller.ts";
import { createGrpcCaller } from "../calls/grpc-caller.ts";
import { readResourceName, writeResourceName } from "../fixtures/upload.ts";
import { BreakableRemex } from "./breakable-remex.ts";
import { type Break, uploadThrough } from "./broken-upload.ts";
import { KeystreamBlob } from "./keystream-blob.ts";

const INSTANCE = "main";
/** No call of a blob that is too large for it is expected. */
const CALL_DEADLINE_MS = 6 * 3600 * 1000;

const { bytes, dir } = new Command("npm run bench:big-blob --")
  .description(
    "Starts Remex on this machine, stores a blob of so many bytes through the bridge while parts of it are killed and " +
      "connections are cut, reads it back and compares its SHA-256. All that was stored is deleted in the end.",
  )
  .addOption(new Option("--bytes <n>", "size of the blob").default(10_000_000_000).argParser(parsePositiveInteger))
  .addOption(new Option("--dir <dir>", "where a directory for all that is stored is made").default(tmpdir()))
  .parse()
  .opts<{ bytes: number; dir: string }>();

const directory = await mkdtemp(join(dir, "remex-big-blob-"));
try {
  await run();
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const blob = new KeystreamBlob(bytes);
  print(`a blob of ${bytes} bytes, sha256 ${blob.digest.hash}`);
  const remex = await BreakableRemex.start(join(packageDirectory(), "dist", "remex.js"), directory);
  const caller = createGrpcCaller({
    address: remex.address,
    tls: undefined,
    token: undefined,
    deadlineMs: CALL_DEADLINE_MS,
  });
  try {
    const breaks = breaksOf(remex);
    const writeSeconds = await timed(async () => {
      const { takenUp } = await uploadThrough(caller, writeResourceName(INSTANCE, blob), blob, breaks);
      for (const { sentBytes, code, committedBytes } of takenUp) {
        print(`the client got ${Code[code]} after ${sentBytes} bytes and went on at committed_size ${committedBytes}`);
      }
      print(`${breaks.length} breaks, ${takenUp.length} of which the client noticed; the bridge took up the others`);
    });
    print(`stored in ${writeSeconds.toFixed(0)} s, ${speed(writeSeconds)}`);
    printPeaks(remex);
    let hash = "";
    const readSeconds = await timed(async () => {
      hash = await readHash(caller, blob);
    });
    print(`read in ${readSeconds.toFixed(0)} s, ${speed(readSeconds)}`);
    printPeaks(remex);
    if (hash !== blob.digest.hash) throw new Error(`what was read has the sha256 ${hash}`);
    print("what was read has the same sha256");
  } finally {
    caller.close();
    await remex.stop();
  }
}

/** One of each kind, far from each other. */
function breaksOf(remex: BreakableRemex): Break[] {
  const kinds: [string, () => Promise<void>][] = [
    ["the bridge is killed", () => remex.killBridge()],
    ["workerd is killed", () => remex.killWorker()],
    ["the client's connection is cut", () => remex.cutClient()],
    ["the bridge's connections are cut", () => remex.cutUpstream()],
  ];
  return kinds.map(([name, happen], index) => {
    const atBytes = Math.floor((bytes * (index + 1)) / (kinds.length + 1));
    return {
      name,
      atBytes,
      happen: () => {
        print(`${name} at ${atBytes} bytes`);
        return happen();
      },
    };
  });
}

function printPeaks(remex: BreakableRemex): void {
  for (const [part, bytes] of remex.takePeaks()) print(`${part}: at most ${(bytes / 2 ** 20).toFixed(0)} MiB resident`);
}

async function readHash(caller: Caller, blob: KeystreamBlob): Promise<string> {
  const hash = createHash("sha256");
  const request = encode(ReadRequestSchema, { resourceName: readResourceName(INSTANCE, blob) });
  for await (const answer of caller.serverStream(ByteStream.method.read, request)) {
    hash.update(fromBinary(ReadResponseSchema, answer).data);
  }
  return hash.digest("hex");
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}

function speed(seconds: number): string {
  return `${(bytes / 2 ** 20 / seconds).toFixed(1)} MiB/s`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
