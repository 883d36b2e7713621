import { fromBinary } from "@bufbuild/protobuf";
import type { ActionIdentity } from "../../durable-objects/instance/action-identity.ts";
import type { AgentInspection } from "../../durable-objects/instance/inspection.ts";
import type { InstanceMetrics } from "../../durable-objects/instance/metrics.ts";
import {
  KnownExecutionSchema,
  KnownExecutionsSchema,
  type OperationInspection,
  OperationInspectionSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { ConfiguredInstance } from "../config/config.ts";
import type { Env } from "../env.ts";
import { callInstance } from "../instance-object/instance-objects.ts";
import type { InstanceShard, OperationName } from "../instance-object/operation-name.ts";
import { type ExecutionView, executionView } from "./execution-view.ts";

/** How an instance stands, all of its shards together. */
export interface Overview {
  readonly metrics: readonly { readonly shard: number; readonly metrics: InstanceMetrics }[];
  /** The latest lease first. */
  readonly running: readonly ExecutionView[];
  /** The first to come first. */
  readonly queued: readonly ExecutionView[];
  /** The last to end first. */
  readonly ended: readonly ExecutionView[];
}

/** @param limit how many executions of each kind */
export async function instanceOverview(env: Env, instance: ConfiguredInstance, limit: number): Promise<Overview> {
  const shards = await ofEachShard(instance, async (object) => {
    const { ended, metrics, queued, running } = await callInstance(env, object, (stub) =>
      stub.overview(limit, { byAgent: true }),
    );
    return {
      shard: object.shard,
      metrics,
      running: viewsOf(object, running),
      queued: viewsOf(object, queued),
      ended: viewsOf(object, ended),
    };
  });
  const merged = (of: "running" | "queued" | "ended", rank: (view: ExecutionView) => number) =>
    shards
      .flatMap((shard) => shard[of])
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, limit);
  return {
    metrics: shards.map(({ metrics, shard }) => ({ shard, metrics })),
    running: merged("running", ({ leasedAtMs = 0 }) => -leasedAtMs),
    queued: merged("queued", ({ queuedAtMs }) => queuedAtMs),
    ended: merged("ended", ({ endedAtMs = 0 }) => -endedAtMs),
  };
}

/** What is known of an operation; undefined if nothing is. */
export async function inspectOperation(env: Env, operation: OperationName): Promise<OperationInspection | undefined> {
  const bytes = await callInstance(env, operation, (stub) => stub.inspectOperation(operation.id));
  return bytes && fromBinary(OperationInspectionSchema, bytes);
}

/** At most `limit` executions of a build, in the order in which they were queued. */
export async function invocationExecutions(
  env: Env,
  instance: ConfiguredInstance,
  invocationId: string,
  limit: number,
): Promise<ExecutionView[]> {
  const shards = await ofEachShard(instance, async (object) =>
    viewsOf(object, await callInstance(env, object, (stub) => stub.inspectInvocation(invocationId, limit))),
  );
  return shards
    .flat()
    .sort((a, b) => a.queuedAtMs - b.queuedAtMs)
    .slice(0, limit);
}

/** The last execution of such an action that was queued before a time, whichever shard had it. */
export async function lastExecutionOf(
  env: Env,
  instance: ConfiguredInstance,
  identity: ActionIdentity,
  beforeMs: number,
): Promise<ExecutionView | undefined> {
  const shards = await ofEachShard(instance, async (object) => {
    const bytes = await callInstance(env, object, (stub) => stub.lastExecutionOf(identity, beforeMs));
    return bytes === undefined ? [] : [executionView(object, fromBinary(KnownExecutionSchema, bytes))];
  });
  return shards.flat().sort((a, b) => b.queuedAtMs - a.queuedAtMs)[0];
}

/** An agent with what it does for every shard. */
export interface AgentView extends AgentInspection {
  readonly running: readonly OperationName[];
}

/** The agents of an instance by name. An agent of several shards is one, whose leases are those of all of them. */
export async function instanceAgents(env: Env, instance: ConfiguredInstance): Promise<AgentView[]> {
  const shards = await ofEachShard(instance, async (object) => {
    const agents = await callInstance(env, object, (stub) => stub.agents());
    return agents.map((agent) => ({ ...agent, running: agent.executionIds.map((id) => ({ ...object, id })) }));
  });
  const agents = new Map<string, AgentView>();
  for (const agent of shards.flat()) {
    const known = agents.get(agent.id);
    agents.set(agent.id, known === undefined ? agent : together(known, agent));
  }
  return [...agents.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** Has every shard ask the agent to take no new lease, or to take them again. False if it is connected to none. */
export async function requestDrain(
  env: Env,
  instance: ConfiguredInstance,
  agentId: string,
  draining: boolean,
): Promise<boolean> {
  const reached = await ofEachShard(instance, (object) =>
    callInstance(env, object, (stub) => stub.requestDrain(agentId, draining)),
  );
  return reached.includes(true);
}

/** Each shard sees of the agent what the others leave of it, and its own leases. */
function together(a: AgentView, b: AgentView): AgentView {
  return {
    ...a,
    connected: a.connected && b.connected,
    draining: a.draining || b.draining,
    lastHeardMs: Math.max(a.lastHeardMs, b.lastHeardMs),
    leases: a.leases + b.leases,
    maxActions:
      a.maxActions === undefined || b.maxActions === undefined ? undefined : Math.max(a.maxActions, b.maxActions),
    running: [...a.running, ...b.running],
    resources: a.resources.map((resource) => {
      const other = b.resources.find(({ name }) => name === resource.name);
      if (other === undefined) return resource;
      const usedMilli = resource.capacityMilli - resource.freeMilli + other.capacityMilli - other.freeMilli;
      const capacityMilli = Math.max(resource.capacityMilli, other.capacityMilli);
      return { name: resource.name, capacityMilli, freeMilli: capacityMilli - usedMilli };
    }),
  };
}

function viewsOf(object: InstanceShard, bytes: Uint8Array): ExecutionView[] {
  return fromBinary(KnownExecutionsSchema, bytes).executions.map((known) => executionView(object, known));
}

function ofEachShard<T>(
  { name, scheduler }: ConfiguredInstance,
  ask: (object: InstanceShard) => Promise<T>,
): Promise<T[]> {
  return Promise.all(Array.from({ length: scheduler.shards }, (_, shard) => ask({ instanceName: name, shard })));
}
