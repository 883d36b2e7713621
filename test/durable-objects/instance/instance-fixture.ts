import { create } from "@bufbuild/protobuf";
import { encodeBinaryHeader } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll } from "vitest";
import { RequestMetadataSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { type ActionOptions, prepareAction } from "../../e2e/action.ts";
import { type Clients, clientsOver, INSTANCE, upload } from "../../e2e/clients.ts";
import { startWorker, type TestWorker } from "../../worker.ts";
import { ExecutionStream } from "./execution-stream.ts";
import { ScriptedAgent } from "./scripted-agent.ts";

/** A configuration of one instance whose scheduler is told `scheduler`, with `more` keys of the file. */
export function instanceConfig(
  scheduler: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({
    ...more,
    stores: { MAIN_STORE: { shards: 1 } },
    schedulers: { M: { supported_platform_properties: { cpu_count: "minimum" }, ...scheduler } },
    services: { execution: [{ instance_name: INSTANCE, scheduler: "M", cas_store: "MAIN_STORE" }] },
  });
}

export function clientsOf({ url }: { readonly url: string }): Clients {
  return clientsOver(createGrpcWebTransport({ baseUrl: url, ...CONNECTION_PER_CALL }));
}

/**
 * How long a client stays that is to go away while its action runs: long enough for the slowest machine to begin the action.
 * Its deadline takes it away at once, while a broken connection shows at the next keep-alive, seconds later.
 */
export const SHORT_STAY_MS = 2000;

export type ExecuteOptions = Partial<ActionOptions> & {
  /** The call's deadline; none by default. */
  readonly stayMs?: number;
  readonly skipCacheLookup?: boolean;
  readonly priority?: number;
  /** results_cache_policy.priority. */
  readonly cachePriority?: number;
  /** What Execute is to inline. */
  readonly inline?: { readonly inlineStdout?: boolean; readonly inlineOutputFiles?: string[] };
  /** RequestMetadata.tool_invocation_id. */
  readonly invocationId?: string;
  /** RequestMetadata.target_id. */
  readonly targetId?: string;
  /** execution_policy.timeout. */
  readonly policyTimeout?: { readonly seconds: bigint; readonly nanos: number };
};

const METADATA_HEADER = "build.bazel.remote.execution.v2.requestmetadata-bin";

let salt = 0;

/** Uploads a new action, or the same one for the same `salt`, and executes it. */
export async function execute(clients: Clients, options: ExecuteOptions = {}): Promise<ExecutionStream> {
  const {
    invocationId,
    targetId,
    policyTimeout,
    priority = 0,
    cachePriority,
    inline,
    skipCacheLookup,
    stayMs,
    ...rest
  } = options;
  const action = prepareAction({ script: "true", salt: String(salt++), ...rest });
  await upload(clients, action.blobs);
  const executionPolicy = { priority, ...(policyTimeout && { timeout: policyTimeout }) };
  const request = {
    instanceName: INSTANCE,
    actionDigest: action.digest,
    skipCacheLookup: skipCacheLookup === true,
    executionPolicy,
    ...inline,
    ...(cachePriority !== undefined && { resultsCachePolicy: { priority: cachePriority } }),
  };
  const metadata = encodeBinaryHeader(
    create(RequestMetadataSchema, { toolInvocationId: invocationId ?? "", targetId: targetId ?? "" }),
    RequestMetadataSchema,
  );
  return new ExecutionStream(
    clients.execution.execute(request, {
      headers: { [METADATA_HEADER]: metadata },
      ...(stayMs !== undefined && { timeoutMs: stayMs }),
    }),
  );
}

/** A Worker with one instance, for the tests of a file. */
export interface TestInstance {
  readonly worker: TestWorker;
  readonly clients: Clients;
  execute(options?: ExecuteOptions): Promise<ExecutionStream>;
  /** An agent that has said Hello, and is gone after the test. */
  connect(id: string, hello?: Parameters<typeof ScriptedAgent.connect>[2], shard?: number): Promise<ScriptedAgent>;
}

export function useInstance(...config: Parameters<typeof instanceConfig>): TestInstance {
  let worker: TestWorker | undefined;
  const agents: ScriptedAgent[] = [];
  const running = (): TestWorker => {
    if (worker === undefined) throw new Error("the Worker runs during tests only");
    return worker;
  };
  beforeAll(async () => {
    worker = await startWorker({ config: instanceConfig(...config) });
  });
  afterEach(async () => {
    await Promise.all(agents.splice(0).map((agent) => agent.close()));
  });
  afterAll(() => worker?.dispose());
  return {
    get worker() {
      return running();
    },
    get clients() {
      return clientsOf(running());
    },
    execute: (options) => execute(clientsOf(running()), options),
    connect: async (id, hello, shard) => {
      const agent = await ScriptedAgent.connect(running().url, id, hello, shard);
      agents.push(agent);
      return agent;
    },
  };
}
