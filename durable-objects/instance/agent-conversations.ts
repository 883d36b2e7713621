import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ExecutedActionMetadata,
  ExecutedActionMetadataSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import {
  type AgentMessage,
  AgentMessageSchema,
  type Hello,
  type LeaseProgress,
  LeaseProgress_Phase as Phase,
  type LeaseResult,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { SchedulerConfig } from "../../src/config/schema.ts";
import { log } from "../../src/log.ts";
import type { Happening, LeasePhase } from "../scheduler/events.ts";
import { minimumNames, type PlatformRules } from "../scheduler/platform.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { AgentSnapshot } from "../scheduler/snapshot.ts";
import { agentCapacity, agentDescription, agentName, refuseHello } from "./agent-description.ts";
import { type AgentSockets, CLOSE } from "./agent-sockets.ts";
import type { Cargo } from "./effects.ts";
import { leaseReport } from "./lease-report.ts";
import type { Operations } from "./operations.ts";
import type { OutputReaders } from "./output-readers.ts";
import { faultOfMetadata, faultOfResult } from "./result-faults.ts";
import type { InstanceStorage } from "./storage.ts";

/** How often an agent sends a heartbeat, as a part of the worker timeout: three may be lost before it counts as silent. */
const HEARTBEATS_PER_WORKER_TIMEOUT = 4;

/** Above what an agent sends, which keeps to 1 MiB; the platform would let through 32 MiB. */
const MAX_MESSAGE_BYTES = 4 << 20;

/** More than all timestamps take. What an agent says of a lease that runs is kept in memory. */
const MAX_PROGRESS_BYTES = 4096;

/** How many agents a shard knows at once: their Hellos are kept in memory. */
const MAX_AGENTS = 10_000;

const PHASES = {
  [Phase.UNSPECIFIED]: undefined,
  [Phase.FETCHING_INPUTS]: "fetching_inputs",
  [Phase.EXECUTING]: "executing",
  [Phase.UPLOADING_OUTPUTS]: "uploading_outputs",
} as const satisfies Record<Phase, LeasePhase | undefined>;

export interface AgentConversationsParts {
  readonly config: SchedulerConfig;
  readonly rules: PlatformRules;
  /** Only asked; it changes by `step` alone. */
  readonly scheduler: Scheduler;
  readonly storage: InstanceStorage;
  readonly sockets: AgentSockets;
  readonly operations: Operations;
  readonly readers: OutputReaders;
  /** Lets the scheduler take an event and carries out what it decides. */
  readonly step: (happening: Happening, cargo?: Cargo) => void;
  readonly nowMs: () => number;
}

/** What agents say. They are not trusted: what makes no sense closes their socket or counts against them. */
export class AgentConversations {
  readonly #parts: AgentConversationsParts;
  readonly #hellos = new Map<string, Hello>();

  constructor(parts: AgentConversationsParts) {
    this.#parts = parts;
  }

  /** What people call the agent; undefined if it is not known any more. */
  name(agentId: string): string | undefined {
    const hello = this.#hellos.get(agentId);
    return hello && agentName(hello);
  }

  /** What the agent said of itself; undefined if it is not known any more. */
  hello(agentId: string): Hello | undefined {
    return this.#hellos.get(agentId);
  }

  /**
   * An operator wants the agent to take no new lease, or to take them again. It stops being given any at once; it goes on
   * when it says so itself, since it may have reasons of its own not to. Returns false if it isn't connected.
   */
  requestDrain(agentId: string, draining: boolean): boolean {
    if (!this.#parts.sockets.isConnected(agentId)) return false;
    if (draining) this.#drain(agentId);
    this.#parts.sockets.send(agentId, { case: "drain", value: { draining } });
    return true;
  }

  /** A frame from an agent's socket. */
  hear(socket: WebSocket, frame: Uint8Array): void {
    const message = this.#parse(socket, frame);
    if (message !== undefined) this.#obey(socket, message);
  }

  /** Closes the socket if it isn't a message. */
  #parse(socket: WebSocket, frame: Uint8Array): AgentMessage["message"] | undefined {
    if (frame.length > MAX_MESSAGE_BYTES) {
      this.#turnAway(socket, `a message must have at most ${MAX_MESSAGE_BYTES} bytes`);
      return undefined;
    }
    try {
      return fromBinary(AgentMessageSchema, frame).message;
    } catch {
      this.#turnAway(socket, "a message could not be parsed");
      return undefined;
    }
  }

  #turnAway(socket: WebSocket, why: string): void {
    log.warn({ agent: this.#parts.sockets.agentOf(socket), why }, "agent turned away");
    socket.close(CLOSE.malformed, why);
  }

  #obey(socket: WebSocket, message: AgentMessage["message"]): void {
    if (message.case === "hello") {
      this.#hello(socket, message.value);
      return;
    }
    const { readers, sockets, step } = this.#parts;
    const agentId = sockets.agentOf(socket);
    if (agentId === undefined) {
      this.#turnAway(socket, "the first message must be a Hello");
      return;
    }
    switch (message.case) {
      case "progress":
        this.#progress(agentId, message.value);
        break;
      case "result":
        this.#result(agentId, message.value);
        break;
      case "drain":
        this.#drain(agentId);
        break;
      case "capacity":
        step({ type: "agent_capacity", agentId, ...agentCapacity(message.value) });
        break;
      case "output":
        readers.answer(message.value);
        break;
      case undefined:
        // A newer agent's message: additions are allowed to be ignored.
        break;
    }
  }

  /** @param left whether the agent took leave, rather than losing its connection */
  socketGone(socket: WebSocket, left: boolean): void {
    const { sockets } = this.#parts;
    const agentId = sockets.agentOf(socket);
    sockets.gone(socket);
    if (agentId === undefined) return;
    sockets.unbind(agentId);
    this.#parts.step({ type: "agent_disconnected", agentId, left });
  }

  /** The scheduler doesn't know the agent any more. */
  forget(agentId: string): void {
    this.#hellos.delete(agentId);
    this.#parts.storage.removeAgent(agentId);
    this.#parts.sockets.forget(agentId);
  }

  /** The agents as they were before the object's memory was lost, with their sockets as they are now. */
  restore(): AgentSnapshot[] {
    const { nowMs, rules, sockets, storage } = this.#parts;
    return storage.agents().map((hello) => {
      this.#hellos.set(hello.agentId, hello);
      return {
        description: agentDescription(hello, rules),
        connected: sockets.isConnected(hello.agentId),
        lastHeardMs: sockets.lastHeartbeatMs(hello.agentId) ?? nowMs(),
      };
    });
  }

  #hello(socket: WebSocket, hello: Hello): void {
    const { config, rules, sockets, step } = this.#parts;
    const refusal = refuseHello(hello) ?? this.#refuseAnother(socket, hello.agentId);
    if (refusal !== undefined) {
      this.#turnAway(socket, refusal);
      return;
    }
    for (const agentId of hello.replacedAgentIds) this.#replaced(agentId, hello);
    sockets.bind(socket, hello.agentId);
    this.#keep(hello);
    const workerTimeoutMs = config.worker_timeout_s * 1000;
    sockets.send(hello.agentId, {
      case: "welcome",
      value: {
        heartbeatInterval: durationFromMs(workerTimeoutMs / HEARTBEATS_PER_WORKER_TIMEOUT),
        workerTimeout: durationFromMs(workerTimeoutMs),
        shardCount: config.shards,
        minimumProperties: { names: minimumNames(rules) },
      },
    });
    step({ type: "agent_connected", agent: agentDescription(hello, rules), leaseIds: hello.leaseIds });
  }

  /** An agent that says many Hellos must not become many agents. */
  #refuseAnother(socket: WebSocket, agentId: string): string | undefined {
    const before = this.#parts.sockets.agentOf(socket);
    if (before !== undefined && before !== agentId) return "a socket is one agent's: open another for another agent_id";
    const full = this.#hellos.size >= MAX_AGENTS && !this.#hellos.has(agentId);
    return full ? `a scheduler shard has at most ${MAX_AGENTS} agents: let the instance have more shards` : undefined;
  }

  /**
   * An agent was killed, and its successor is here: waiting for it until the worker timeout would be in vain. What it held
   * has failed, since it may be what killed it.
   */
  #replaced(agentId: string, successor: Hello): void {
    const { scheduler, step } = this.#parts;
    if (agentId === successor.agentId || this.name(agentId) !== agentName(successor)) return;
    const message = "it was killed and started again";
    for (const leaseId of scheduler.leaseIdsOf(agentId)) {
      step({ type: "lease_ended", agentId, leaseId, outcome: "infrastructure_failure", message });
    }
    step({ type: "agent_disconnected", agentId, left: true });
  }

  #drain(agentId: string): void {
    const hello = this.#hellos.get(agentId);
    if (hello !== undefined && !hello.draining) {
      hello.draining = true;
      this.#keep(hello);
    }
    this.#parts.step({ type: "agent_draining", agentId });
  }

  #keep(hello: Hello): void {
    this.#hellos.set(hello.agentId, hello);
    // Which leases it holds now says nothing about the state after a restart.
    this.#parts.storage.putAgent(hello.agentId, { ...hello, leaseIds: [] });
  }

  #progress(agentId: string, { leaseId, phase, metadata }: LeaseProgress): void {
    const executionId = this.#runningExecution(agentId, leaseId);
    const known = PHASES[phase];
    if (executionId === undefined || known === undefined) return;
    if (metadata !== undefined && isBelievable(metadata)) this.#parts.operations.setProgress(executionId, metadata);
    this.#parts.step({ type: "lease_progress", agentId, leaseId, phase: known });
  }

  #result(agentId: string, result: LeaseResult): void {
    const { cache, leaseId } = result;
    const hello = this.#hellos.get(agentId);
    // Worth no row: it only informs, and the next result or Hello says it again.
    if (cache !== undefined && hello !== undefined) hello.cache = cache;
    const executionId = this.#runningExecution(agentId, leaseId);
    const snapshot = executionId === undefined ? undefined : this.#parts.scheduler.snapshot(executionId);
    const request = executionId === undefined ? undefined : this.#parts.storage.executionRequest(executionId);
    const { message, outcome, response } = leaseReport(result, {
      agentName: this.name(agentId) ?? agentId,
      queuedAtMs: snapshot?.queuedAtMs ?? 0,
      timeoutMs: snapshot?.timeoutMs ?? 0,
      failures: snapshot?.failures ?? [],
      fault: request && faultOfResult(result, request),
    });
    this.#parts.step(
      { type: "lease_ended", agentId, leaseId, outcome, message },
      response && request && { request, response },
    );
  }

  /** The execution whose lease this is, if it still runs at that agent. */
  #runningExecution(agentId: string, leaseId: string): string | undefined {
    const executionId = leaseId.slice(0, leaseId.lastIndexOf("."));
    const lease = this.#parts.scheduler.snapshot(executionId)?.lease;
    return lease?.agentId === agentId && lease.id === leaseId ? executionId : undefined;
  }
}

function isBelievable(metadata: ExecutedActionMetadata): boolean {
  const sizeBytes = toBinary(ExecutedActionMetadataSchema, metadata).length;
  return (
    sizeBytes <= MAX_PROGRESS_BYTES &&
    metadata.auxiliaryMetadata.length === 0 &&
    faultOfMetadata(metadata) === undefined
  );
}
