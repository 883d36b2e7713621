// What calls take that wait for an action and hear nothing new.
//
//   npm run bench:idle-calls [-- --calls 10000]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Command, Option } from "commander";
import { parsePositiveInteger } from "../../cli/options.ts";
import {
  ExecuteRequestSchema,
  Execution,
  ServerCapabilitiesSchema,
  WaitExecutionRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  CancelOperationRequestSchema,
  OperationSchema,
  Operations,
  type Operation,
} from "../../protos/gen/google/longrunning/operations_pb.ts";
import { type Caller, encode } from "../calls/caller.ts";
import { createConnectCaller } from "../calls/connect-caller.ts";
import { prepareActions } from "../fixtures/actions.ts";
import { BlobSource } from "../fixtures/blobs.ts";
import { startInspectedWorker } from "../isolate-memory/inspected-worker.ts";

const INSTANCE = "main";
const MIB = 1 << 20;
const DEADLINE_MS = 30 * 60_000;
/** So many are opened at once: an isolate that is busy may not read the head of another within workerd's 15 s. */
const STEP_CALLS = 50;

/** The action has no agent, and is to wait for one. */
const CONFIG = JSON.stringify({
  stores: { STORE: {} },
  schedulers: { SCHEDULER: { no_worker_timeout_s: DEADLINE_MS / 1000 } },
  services: { execution: [{ instance_name: INSTANCE, scheduler: "SCHEDULER", cas_store: "STORE" }] },
});

const { calls } = new Command("npm run bench:idle-calls --")
  .description(
    "Starts the Worker, queues an action, lets so many calls wait for it straight at the Worker, ends it, and prints what " +
      "the isolate held meanwhile and how the calls ended.",
  )
  .addOption(new Option("--calls <n>", "WaitExecutions at once").default(2000).argParser(parsePositiveInteger))
  .parse()
  .opts<{ calls: number }>();

const directory = await mkdtemp(join(tmpdir(), "remex-idle-calls-"));
try {
  await run();
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const worker = await startInspectedWorker(directory, CONFIG);
  const { meter } = worker;
  const caller = createConnectCaller(worker.url, DEADLINE_MS);
  try {
    const restBytes = await meter.held();
    const execution = await queuedAction(caller);
    const outcomes = new Map<string, number>();
    const waiting: Promise<void>[] = [];
    while (waiting.length < calls) {
      const step = Array.from({ length: Math.min(STEP_CALLS, calls - waiting.length) }, () =>
        begin(caller, execution.name),
      );
      for (const { ended } of step) {
        waiting.push(
          ended.then(said, said).then((outcome) => {
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          }),
        );
      }
      await Promise.all(step.map(({ begun }) => begun));
    }
    const idleBytes = await meter.held();
    await caller.unary(
      Operations.method.cancelOperation,
      encode(CancelOperationRequestSchema, { name: execution.name }),
    );
    await Promise.all([execution.ended, ...waiting]);
    print(`${calls} calls that wait for one action`);
    for (const [outcome, count] of outcomes) print(`  ${count} × ${outcome}`);
    const endedBytes = await meter.held();
    print(
      `  the isolate held ${text(restBytes)} at rest, ${text(idleBytes)} with them, ${text(endedBytes)} after them`,
    );
  } finally {
    caller.close();
    await worker.stop();
  }
}

/** A call of which the first operation has come, and in the end the last one. */
interface Wait {
  /** Whether or not it came to anything. */
  readonly begun: Promise<void>;
  readonly ended: Promise<Operation>;
}

async function queuedAction(caller: Caller): Promise<{ readonly name: string; readonly ended: Promise<Operation> }> {
  const capabilities = create(ServerCapabilitiesSchema);
  const target = { caller, instanceName: INSTANCE, capabilities, blobs: new BlobSource(), platform: [] };
  const [actionDigest] = await (await prepareActions(target, { arguments: ["true"] }))(1);
  const request = encode(ExecuteRequestSchema, { instanceName: INSTANCE, actionDigest, skipCacheLookup: true });
  const named = Promise.withResolvers<string>();
  const ended = lastOperation(caller.serverStream(Execution.method.execute, request), ({ name }) => {
    named.resolve(name);
  });
  ended.catch(named.reject);
  return { name: await named.promise, ended };
}

function begin(caller: Caller, name: string): Wait {
  const begun = Promise.withResolvers<undefined>();
  const states = caller.serverStream(Execution.method.waitExecution, encode(WaitExecutionRequestSchema, { name }));
  const ended = lastOperation(states, () => {
    begun.resolve(undefined);
  });
  ended.catch(() => {
    begun.resolve(undefined);
  });
  return { begun: begun.promise, ended };
}

async function lastOperation(
  states: AsyncIterable<Uint8Array>,
  onOperation: (operation: Operation) => void,
): Promise<Operation> {
  let last: Operation | undefined;
  for await (const state of states) onOperation((last = fromBinary(OperationSchema, state)));
  if (last?.done !== true) throw new Error("the stream ended before the operation was done");
  return last;
}

function said(end: unknown): string {
  if (!(end instanceof Error)) return "heard the end";
  const { code, rawMessage } = ConnectError.from(end);
  return `${Code[code]}: ${rawMessage}`;
}

function text(bytesHeld: number): string {
  return `${(bytesHeld / MIB).toFixed(1)} MiB`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
