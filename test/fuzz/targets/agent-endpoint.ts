import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { pino } from "pino";
import { DigestFunction_Value } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  CancelLeaseSchema,
  InstanceMessageSchema,
  type Lease,
  LeaseResult_Outcome as Outcome,
  OutputRequest_Stream as Stream,
} from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { toError } from "../../../src/errors/to-error.ts";
import { digestFromWire } from "../../../src/digest/digest.ts";
import { SHA256 } from "../../../src/digest/digest-function.ts";
import { runAgent } from "../../../worker-agents/agent.ts";
import { mix, Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { type AgentConnection, AgentPeer } from "../../worker-agents/agent-peer.ts";
import { leaseOf } from "../../worker-agents/leases.ts";
import { corrupt } from "../generators/corruptions.ts";
import { hostileBinary } from "../generators/hostile-messages.ts";
import { hostileResponse } from "../generators/hostile-responses.ts";
import { hostileInteger, hostileSize, hostileString, randomBytes } from "../generators/hostile-values.ts";
import { hostileTree } from "../generators/trees.ts";
import type { Target } from "../target.ts";
import { Violation } from "../violation.ts";
import { INSTANCE } from "../world.ts";

const STEPS_OF_A_CASE = 100;

/** How long the agent has to do honest work again, and to stop. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 50;

/** Beyond what there was before: a bound on what the endpoint's answers leave in the agent. */
const MAX_GROWTH_BYTES = 512 << 20;

/** Above what an agent takes of a message. */
const OVERSIZED_BYTES = 33 << 20;

/**
 * An endpoint that sends the agent what makes no sense, leases that lead out of its directory, and blobs that are others.
 * It lives, writes nowhere else, and works when the endpoint is honest again.
 */
export const agentEndpoint: Target = {
  name: "endpoint of the agent",
  cases: 2,
  atOnce: 1,
  async run(random) {
    const base = await mkdtemp(join(tmpdir(), "remex-fuzz-"));
    const outside = join(base, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "kept"), "kept");
    const peer = await AgentPeer.start();
    const kill = new AbortController();
    let failure: Error | undefined;
    const stopped = runAgent(
      {
        endpoint: peer.endpoint,
        instanceName: INSTANCE,
        name: "agent",
        version: "0",
        workDirectory: join(base, "work"),
        maxActions: 4,
        logger: pino({ level: "silent" }),
        killSignal: kill.signal,
        limits: {
          progressDelayMs: 0,
          reconnect: { baseMs: 1, maxMs: 5 },
          callRetries: { attempts: 2, baseMs: 1, maxMs: 2 },
          callTimeoutMs: 300,
          inputFetchTimeoutMs: 2000,
          commandTimeoutMs: 2000,
          outputUploadTimeoutMs: 2000,
        },
      },
      kill.signal,
    ).catch((error: unknown) => {
      failure = toError(error);
    });
    const before = { rss: process.memoryUsage().rss, files: await filesBeside(base) };
    const endpoint = new Endpoint(peer);
    const what: string[] = [];
    try {
      await endpoint.connection();
      const seed = random.between(0, 2 ** 31);
      let calls = 0;
      peer.answerCall = (response) => {
        const own = new Random(mix(seed, calls++));
        if (!own.chance(0.15)) return false;
        hostileResponse(own).answer(response);
        return true;
      };
      for (let step = 0; step < STEPS_OF_A_CASE; step += 1) {
        what.push(attackAgent(random, await endpoint.connection(), peer, outside));
        await new Promise((resolve) => setTimeout(resolve, random.between(0, 20)));
        if (failure !== undefined) throw new Violation(`the agent ended: ${String(failure)}`);
      }
      peer.answerCall = undefined;
      await within(worksHonestly(endpoint, peer), "the agent did no honest work");
      const grownBytes = process.memoryUsage().rss - before.rss;
      if (grownBytes > MAX_GROWTH_BYTES) throw new Violation(`the agent holds ${grownBytes} bytes more than before`);
      kill.abort();
      await within(stopped, "the agent did not stop");
      const after = await filesBeside(base);
      if (after !== before.files) throw new Violation(`the agent wrote outside its directory: ${after}`);
    } catch (error) {
      throw new Violation(`${toError(error).message}, after ${what.join(", ")}`);
    } finally {
      kill.abort();
      await stopped;
      await peer.close();
      await rm(base, { recursive: true, force: true });
    }
    return what.join(", ");
  },
};

/** Welcomes whatever connects. */
class Endpoint {
  readonly #open = new Set<AgentConnection>();
  #onOpen: () => void = () => undefined;

  constructor(peer: AgentPeer) {
    void this.#takeNext(peer);
  }

  /** The latest that is open; waits for one. */
  async connection(): Promise<AgentConnection> {
    for (;;) {
      const latest = [...this.#open].at(-1);
      if (latest !== undefined) return latest;
      await new Promise<void>((resolve) => (this.#onOpen = resolve));
    }
  }

  async #takeNext(peer: AgentPeer): Promise<never> {
    for (;;) void this.#welcome(await peer.connection());
  }

  async #welcome(connection: AgentConnection): Promise<void> {
    void connection.closed.then(() => this.#open.delete(connection));
    await connection.welcome();
    this.#open.add(connection);
    this.#onOpen();
  }
}

/** Sends one thing that an honest endpoint doesn't. Returns what it was. */
function attackAgent(random: Random, connection: AgentConnection, peer: AgentPeer, outside: string): string {
  switch (random.between(0, 9)) {
    case 0:
      connection.sendRaw(randomBytes(random, random.between(0, 200)));
      return "random bytes";
    case 1:
      connection.sendRaw(hostileString(random));
      return "text";
    case 2: {
      // Commands are the endpoint's to choose, and not to be chosen at random.
      const message = hostileBinary(random, CancelLeaseSchema, INSTANCE);
      connection.sendRaw(corrupt(random, toBinary(InstanceMessageSchema, create(InstanceMessageSchema))));
      connection.sendRaw(Buffer.concat([Uint8Array.of(0x1a, message.length & 0x7f), message.subarray(0, 0x7f)]));
      return "corrupt messages";
    }
    case 3:
      connection.send({
        case: "welcome",
        value: {
          heartbeatInterval: { seconds: hostileSize(random), nanos: hostileInteger(random) },
          workerTimeout: { seconds: hostileSize(random), nanos: hostileInteger(random) },
          shardCount: random.pick([0, 1, 3]) ?? 1,
          minimumProperties: { names: random.chance(0.2) ? [hostileString(random).toWellFormed(), "cpu_count"] : [] },
        },
      });
      return "a strange Welcome";
    case 4:
      connection.send({ case: "cancel", value: { leaseId: hostileString(random), reason: hostileString(random) } });
      connection.send({ case: "acknowledgement", value: { leaseId: hostileString(random) } });
      return "a cancel and an acknowledgement of nothing";
    case 5:
      connection.send({
        case: "outputRequest",
        value: {
          requestId: hostileString(random),
          leaseId: hostileString(random),
          stream: random.pick([Stream.UNSPECIFIED, Stream.STDOUT, Stream.STDERR]) ?? Stream.STDOUT,
          offset: hostileSize(random),
          limit: hostileInteger(random),
        },
      });
      return "a request for output of nothing";
    case 6:
      connection.send({ case: "drain", value: { draining: random.chance(0.2) } });
      return "a drain";
    case 7:
      if (random.chance(0.3)) connection.sendRaw(new Uint8Array(OVERSIZED_BYTES));
      else if (random.chance(0.5)) connection.close(random.pick([1001, 4000, 4001, 4002, 4999]) ?? 1001, "bye");
      else connection.terminate();
      return "an end of the connection";
    default: {
      const lease = hostileLease(random, peer, outside);
      for (let times = random.between(1, 2); times > 0; times -= 1) connection.lease(lease);
      return "a hostile lease";
    }
  }
}

/** Through a symlink that leads out; beside it. */
const HARD_PATHS = ["link/escaped", "link/new/escaped", "link", "out", "out/deep/er"];

/** A harmless command, in a tree and with outputs that lead elsewhere, and blobs that are not what they are said to be. */
function hostileLease(random: Random, peer: AgentPeer, outside: string): Lease {
  const path = (): string => (random.chance(0.7) ? (random.pick(HARD_PATHS) ?? "") : strayPath());
  const strayPath = (): string =>
    random.pick([
      "../escaped",
      "../../../outside/escaped",
      join(outside, "escaped"),
      "a/../../../../outside/escaped",
      hostileString(random).slice(0, 2000),
    ]) ?? "out";
  const some = (): string[] => Array.from({ length: random.between(0, 3) }, path).map((each) => each.toWellFormed());
  const command = {
    arguments: random.chance(0.9) ? ["/bin/true", ...some()] : [],
    workingDirectory: random.chance(0.5) ? "" : path().toWellFormed(),
    outputPaths: some(),
    outputFiles: some(),
    outputDirectories: some(),
    environmentVariables: some().map((name) => ({ name, value: name })),
  };
  const tree = hostileTree(random);
  for (const { data } of tree.blobs) peer.cas.put(data);
  const inputs = {
    link: { target: random.pick([outside, "../../outside", dirname(outside)]) ?? outside },
    file: "content",
  };
  const lease = leaseOf(peer, {
    command,
    timeoutMs: random.pick([0, 1, 1000]) ?? 1,
    ...(random.chance(0.6) ? { inputRoot: digestFromWire(SHA256, tree.root, "tree") } : { inputs }),
  });
  if (random.chance(0.3)) {
    const key = random.pick([...peer.cas.blobs.keys()]) ?? "";
    peer.cas.blobs.set(key, corrupt(random, peer.cas.blobs.get(key) ?? new Uint8Array(0)));
  }
  if (random.chance(0.2)) lease.leaseId = hostileString(random).toWellFormed();
  if (random.chance(0.2)) lease.instanceName = hostileString(random).toWellFormed();
  if (random.chance(0.2)) lease.command = corrupt(random, new Uint8Array(0));
  if (random.chance(0.2)) lease.action = new Uint8Array(0);
  if (random.chance(0.1)) lease.digestFunction = DigestFunction_Value.VSO;
  return lease;
}

/** Leases of harmless actions, until one is done. What was sent before may still have to end. */
async function worksHonestly(endpoint: Endpoint, peer: AgentPeer): Promise<void> {
  for (;;) {
    const connection = await endpoint.connection();
    connection.send({ case: "drain", value: { draining: false } });
    const lease = leaseOf(peer, { command: { arguments: ["/bin/true"] }, inputs: { honest: crypto.randomUUID() } });
    connection.lease(lease);
    const outcome = await Promise.race([outcomeOf(lease, connection), connection.closed.then(() => undefined)]);
    if (outcome === Outcome.COMPLETED) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

async function outcomeOf({ leaseId }: Lease, connection: AgentConnection): Promise<Outcome> {
  for (;;) {
    const result = await connection.result();
    if (result.leaseId === leaseId) return result.outcome;
  }
}

/** All that is in a directory beside the agent's, with what is in it, in one text. */
async function filesBeside(base: string): Promise<string> {
  const entries = await readdir(base, { recursive: true, withFileTypes: true });
  const lines = entries
    .map((entry) => ({ entry, path: relative(base, join(entry.parentPath, entry.name)) }))
    .filter(({ path }) => path.split("/")[0] !== "work")
    .map(async ({ entry, path }) => (entry.isFile() ? `${path}: ${await readFile(join(base, path), "utf8")}` : path));
  return (await Promise.all(lines)).sort().join("\n");
}

async function within<T>(work: Promise<T>, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Violation(`${otherwise} within ${PATIENCE_MS / 1000} s`));
    }, PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
