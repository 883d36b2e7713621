import { DurableObject } from "cloudflare:workers";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ListOperationsResponseSchema, OperationSchema } from "../protos/gen/google/longrunning/operations_pb.ts";
import {
  OperationInspectionSchema,
  ReadOutputSchema,
  WatchRequestSchema,
} from "../protos/gen/remex/instance/v1/instance_pb.ts";
import type { Env } from "../src/env.ts";
import type { OperationFilter } from "../src/execution/operation-filter.ts";
import { parseObjectName } from "../src/instance-object/operation-name.ts";
import { log } from "../src/log.ts";
import { serveInstance } from "../src/served-instance.ts";
import { tracerOf } from "../src/tracing/worker-tracer.ts";
import { AgentSockets, CLOSE, MAX_STRANGERS } from "./instance/agent-sockets.ts";
import type { ActionIdentity } from "./instance/action-identity.ts";
import type { AgentInspection, InstanceOverview } from "./instance/inspection.ts";
import { InstanceService } from "./instance/instance-service.ts";
import { type InstanceMetrics, Metrics, type MetricsOptions } from "./instance/metrics.ts";
import { OutputReaders } from "./instance/output-readers.ts";
import { cacheResult } from "./instance/result-cache.ts";
import { InstanceStorage } from "./instance/storage.ts";
import { MAX_SOCKETS, WaitingSockets } from "./instance/waiting-sockets.ts";
import { Watchers } from "./instance/watchers.ts";
import { SavedCounters } from "./saved-counters.ts";

/** An alarm that is due already still waits a little, so that it can't take all of the object's time. */
const MIN_ALARM_DELAY_MS = 10;

/** The close code of an end that was meant (RFC 6455). */
const NORMAL_CLOSURE = 1000;

/** How soon the object looks again after an alarm that failed. It doesn't fail itself: the platform drops those. */
const FAILED_ALARM_DELAY_MS = 1000;

/**
 * One scheduler shard of an instance: its queue, its operations, its agents' sockets. All state is in SQLite or in the
 * sockets' tags and attachments; what is in memory is rebuilt from there when the object wakes up or restarts.
 */
export class Instance extends DurableObject<Env> {
  readonly #agents: AgentSockets;
  readonly #watchers: Watchers;
  readonly #readers: OutputReaders;
  readonly #waiting: WaitingSockets;
  readonly #service: InstanceService;
  /** When the alarm is set for; Infinity if it isn't. Writing it is billed as a row, so it is only ever moved forward. */
  #alarmAtMs = Infinity;

  /**
   * @param maxStrangers how many agents' sockets that have not said Hello may be open
   * @param maxSockets with how many sockets there is no room for another client that waits
   */
  constructor(
    context: DurableObjectState,
    env: Env,
    { maxStrangers = MAX_STRANGERS, maxSockets = MAX_SOCKETS }: { maxStrangers?: number; maxSockets?: number } = {},
  ) {
    super(context, env);
    const shard = parseObjectName(context.id.name ?? "");
    const instance = serveInstance(env, shard.instanceName);
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    this.#agents = new AgentSockets(context, maxStrangers);
    this.#waiting = new WaitingSockets(context, maxSockets);
    this.#watchers = new Watchers(context);
    this.#readers = new OutputReaders(context, this.#agents);
    const { sql } = context.storage;
    const storage = new InstanceStorage(context.storage);
    const metrics: Metrics = new Metrics(SavedCounters.load(sql), () => {
      counters.changed();
    });
    const counters = new SavedCounters(sql, () => metrics.saved());
    this.#service = new InstanceService({
      shard,
      config: instance.config.scheduler,
      storage,
      agents: this.#agents,
      watchers: this.#watchers,
      readers: this.#readers,
      metrics,
      cacheResult: (request, response) => cacheResult(instance.actionCache, request, response),
      waitUntil: (work) => {
        context.waitUntil(work);
      },
      onDeadline: (deadlineMs) => {
        this.#armAlarm(deadlineMs);
      },
      tracer: tracerOf(env, "remex.instance"),
      nowMs: () => Date.now(),
    });
  }

  /**
   * `/agent`, `/watch/{operation id}` and `/output/{operation id}`: WebSocket upgrades. 429 if too many clients wait here: the
   * caller has to answer RESOURCE_EXHAUSTED.
   */
  override fetch(request: Request): Response {
    const [, purpose, operationId = ""] = new URL(request.url).pathname.split("/");
    if (purpose !== "agent" && !this.#waiting.hasRoom()) return new Response(null, { status: 429 });
    this.#waiting.came();
    const [client, server] = Object.values(new WebSocketPair());
    if (client === undefined || server === undefined) throw new Error("a WebSocketPair has two ends");
    if (purpose === "agent") this.#agents.accept(server, Date.now());
    else if (purpose === "output") this.#readers.accept(server, operationId);
    else this.#watchers.accept(server, operationId);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    // A text frame here is a heartbeat that came in another form than the platform answers by itself.
    if (typeof message === "string") return;
    const bytes = new Uint8Array(message);
    const watched = this.#watchers.operationOf(socket);
    const read = this.#readers.operationOf(socket);
    try {
      if (watched !== undefined) this.#service.watch(socket, watched, fromBinary(WatchRequestSchema, bytes));
      else if (read !== undefined) this.#service.readOutput(socket, read, fromBinary(ReadOutputSchema, bytes));
      else this.#service.agents.hear(socket, bytes);
    } catch (error) {
      log.error({ watched, read, error }, "a socket's message could not be handled");
      socket.close(CLOSE.malformed, "the message could not be handled");
    }
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    // The platform leaves the answer to the object; without one the peer waits for it until it gives up.
    socket.close(1000, "closed");
    this.#socketGone(socket, code === NORMAL_CLOSURE);
  }

  override webSocketError(socket: WebSocket): void {
    this.#socketGone(socket, false);
  }

  override alarm(): void {
    this.#alarmAtMs = Infinity;
    try {
      this.#service.tick();
    } catch (error) {
      log.error({ error }, "an alarm failed");
      this.#armAlarm(Date.now() + FAILED_ALARM_DELAY_MS);
    }
  }

  /** The serialized google.longrunning.Operation; undefined if it is not known. */
  getOperation(operationId: string): Uint8Array | undefined {
    const operation = this.#service.operations.get(operationId);
    return operation && toBinary(OperationSchema, operation);
  }

  /**
   * A page of operations as a serialized google.longrunning.ListOperationsResponse. A page that the filter leaves empty
   * still has a token where more may follow.
   * @param pageToken of the page before, or ""
   */
  listOperations(pageSize: number, pageToken: string, filter: OperationFilter = {}): Uint8Array {
    return toBinary(ListOperationsResponseSchema, this.#service.operations.list(pageToken, pageSize, filter));
  }

  /** Forgets an operation that has ended, before its time. */
  deleteOperation(operationId: string): "deleted" | "live" | "unknown" {
    const operation = this.#service.operations.get(operationId);
    if (operation === undefined) return "unknown";
    // Its result may be on its way to the action cache still, with clients that join it.
    if (!operation.done || this.#service.isLive(operationId)) return "live";
    this.#service.operations.delete(operationId);
    return "deleted";
  }

  /** Returns false if the operation is not known. One that has ended stays as it is. */
  cancelOperation(operationId: string): boolean {
    const known = this.#service.operations.get(operationId) !== undefined;
    if (known) this.#service.cancel(operationId);
    return known;
  }

  /**
   * What is known of an operation, as a serialized OperationInspection: for longer than `getOperation` knows it. Undefined
   * if nothing is.
   */
  inspectOperation(operationId: string): Uint8Array | undefined {
    const inspection = this.#service.inspection.operation(operationId);
    return inspection && toBinary(OperationInspectionSchema, inspection);
  }

  /** How this shard stands (see `metrics`), with at most `limit` executions of each kind. */
  overview(limit: number, { byAgent = false }: MetricsOptions = {}): InstanceOverview {
    return { metrics: this.#service.metrics(byAgent), ...this.#service.inspection.executions(limit) };
  }

  /** At most `limit` executions of a build, live ones and ended ones, as serialized KnownExecutions. */
  inspectInvocation(invocationId: string, limit: number): Uint8Array {
    return this.#service.inspection.invocation(invocationId, limit);
  }

  /** The last execution of such an action that was queued before a time, as a serialized KnownExecution, if any is known. */
  lastExecutionOf(identity: ActionIdentity, beforeMs: number): Uint8Array | undefined {
    return this.#service.inspection.lastOf(identity, beforeMs);
  }

  agents(): AgentInspection[] {
    return this.#service.inspection.agents();
  }

  /** Has an agent take no new lease, or take them again. Returns false if it isn't connected. */
  requestDrain(agentId: string, draining: boolean): boolean {
    return this.#service.agents.requestDrain(agentId, draining);
  }

  /** How this shard stands. */
  metrics({ byAgent = false }: MetricsOptions = {}): InstanceMetrics {
    return this.#service.metrics(byAgent);
  }

  #socketGone(socket: WebSocket, left: boolean): void {
    this.#waiting.went(socket);
    const operationId = this.#watchers.operationOf(socket);
    if (operationId !== undefined) this.#service.unwatch(socket, operationId);
    else if (this.#readers.operationOf(socket) === undefined) this.#service.agents.socketGone(socket, left);
  }

  #armAlarm(deadlineMs: number | undefined): void {
    if (deadlineMs === undefined) return;
    const atMs = Math.max(deadlineMs, Date.now() + MIN_ALARM_DELAY_MS);
    // A deadline that has passed must not move the alarm that is about to see to it.
    if (atMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = atMs;
    void this.ctx.storage.setAlarm(atMs);
  }
}
