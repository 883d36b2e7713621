import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type { Logger } from "pino";
import {
  AgentMessageSchema,
  LeaseResult_Outcome as Outcome,
  LeaseResultSchema,
  type Lease,
  type LeaseResult,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { executionLogFields } from "../../src/execution/log-fields.ts";
import type { OnPhase } from "./execute-lease.ts";
import { Interruption } from "./interruption.ts";

/** Beyond this the object has lost count: it learns so by a failure. */
const MAX_HELD_LEASES = 10_000;

/** The connection to a scheduler shard, through which leases come and their results go. */
export interface Link {
  readonly shard: number;
  /** Sends an encoded AgentMessage, or loses it where there is no connection. */
  send(message: Uint8Array): void;
}

export interface HeldLeasesOptions {
  /** Runs a lease to its result; never rejects. */
  readonly execute: (lease: Lease, onPhase: OnPhase, signal: AbortSignal) => Promise<LeaseResult>;
  /** Whether there is room for the lease; if so, it is taken until `onEnd`. */
  readonly admit: (lease: Lease, link: Link) => boolean;
  /** The lease runs no more. */
  readonly onEnd: (leaseId: string, link: Link) => void;
  /** A lease was sent back for want of room: its shard gives none until it is told that there is some. */
  readonly onBusy: (link: Link) => void;
  readonly maxMessageBytes: number;
  readonly progressDelayMs: number;
  readonly logger: Logger;
}

interface HeldLease {
  readonly link: Link;
  readonly interrupt: AbortController;
  /** The encoded message about the phase that it is in. */
  progress?: () => Uint8Array;
  progressTimer?: NodeJS.Timeout;
  /** The encoded result, once it has ended. */
  result?: Uint8Array;
}

/**
 * The leases that an agent holds: those that run, and those that have ended and whose result the object has not
 * acknowledged. They don't depend on a connection: what it could not carry is sent again on the next one.
 */
export class HeldLeases {
  readonly #options: HeldLeasesOptions;
  readonly #leases = new Map<string, HeldLease>();
  readonly #watchers = new Set<() => void>();
  #refusal: Interruption | undefined;

  constructor(options: HeldLeasesOptions) {
    this.#options = options;
  }

  /** How many there are. */
  get size(): number {
    return this.#leases.size;
  }

  /** Those of a shard, for its Hello. */
  idsOf(link: Link): string[] {
    return [...this.#leases].filter(([, held]) => held.link === link).map(([leaseId]) => leaseId);
  }

  /** Starts a lease, unless it is held already. */
  accept(lease: Lease, link: Link): void {
    const { leaseId } = lease;
    const held = this.#leases.get(leaseId);
    if (held !== undefined) {
      if (held.result !== undefined) link.send(held.result);
      return;
    }
    if (this.#leases.size >= MAX_HELD_LEASES) {
      link.send(encodeResult(tooManyLeases(leaseId)));
      return;
    }
    const fresh: HeldLease = { link, interrupt: new AbortController() };
    this.#leases.set(leaseId, fresh);
    if (!this.#options.admit(lease, link)) {
      this.#end(fresh, encodeResult(busy(leaseId)));
      this.#options.onBusy(link);
      return;
    }
    if (this.#refusal !== undefined) fresh.interrupt.abort(this.#refusal);
    void this.#run(lease, fresh);
  }

  /** Ends a lease that is not wanted any more; its result says when its processes have gone. */
  cancel(leaseId: string, reason: string): void {
    const message = reason === "" ? "cancelled" : `cancelled: ${reason}`;
    this.#leases.get(leaseId)?.interrupt.abort(new Interruption("cancelled", message));
  }

  /** Forgets a lease whose result the object has. */
  acknowledge(leaseId: string): void {
    if (this.#leases.get(leaseId)?.result === undefined) return;
    this.#leases.delete(leaseId);
    this.#changed();
  }

  /** On a new connection: says how each of its leases stands. */
  sendAll(link: Link): void {
    for (const { link: own, progress, result } of this.#leases.values()) {
      const message = own === link ? (result ?? progress?.()) : undefined;
      if (message !== undefined) link.send(message);
    }
  }

  /** From now on new leases are handed back. */
  refuseNew(reason: Interruption): void {
    this.#refusal = reason;
  }

  /** New leases are run again. */
  acceptNew(): void {
    this.#refusal = undefined;
  }

  /** Ends all that run. */
  interruptAll(reason: Interruption): void {
    this.refuseNew(reason);
    for (const { interrupt } of this.#leases.values()) interrupt.abort(reason);
  }

  /** Resolves when no lease runs, or when `signal` aborts. */
  async whenNoneRuns(signal: AbortSignal): Promise<void> {
    await this.#when(() => this.#leases.values().every(({ result }) => result !== undefined), signal);
  }

  /** Resolves when every result has been acknowledged, or when `signal` aborts. */
  async whenNoneIsHeld(signal: AbortSignal): Promise<void> {
    await this.#when(() => this.#leases.size === 0, signal);
  }

  async #run(lease: Lease, held: HeldLease): Promise<void> {
    const { execute, onEnd, maxMessageBytes, progressDelayMs, logger } = this.#options;
    const { leaseId, attempt } = lease;
    const about = {
      leaseId,
      attempt,
      ...executionLogFields(lease.operationName, lease.actionDigest, lease.toolInvocationId),
    };
    logger.debug(about, "lease begins");
    const onPhase: OnPhase = (phase, metadata) => {
      const progress = (): Uint8Array =>
        toBinary(
          AgentMessageSchema,
          create(AgentMessageSchema, { message: { case: "progress", value: { leaseId, phase, metadata } } }),
        );
      held.progress = progress;
      clearTimeout(held.progressTimer);
      held.progressTimer = setTimeout(() => {
        held.link.send(progress());
      }, progressDelayMs);
    };
    const result = await execute(lease, onPhase, held.interrupt.signal);
    clearTimeout(held.progressTimer);
    log(logger, about, result);
    let message = encodeResult(result);
    if (message.length > maxMessageBytes) message = encodeResult(tooLarge(leaseId, message.length, maxMessageBytes));
    onEnd(leaseId, held.link);
    this.#end(held, message);
  }

  /** Keeps the result until the object has it. */
  #end(held: HeldLease, message: Uint8Array): void {
    held.result = message;
    held.link.send(message);
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async #when(condition: () => boolean, signal: AbortSignal): Promise<void> {
    if (condition() || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const check = (): void => {
      if (condition() || signal.aborted) resolve(undefined);
    };
    this.#watchers.add(check);
    signal.addEventListener("abort", check, { once: true });
    await promise;
    this.#watchers.delete(check);
    signal.removeEventListener("abort", check);
  }
}

function log(logger: Logger, about: object, { outcome, status }: LeaseResult): void {
  const ended = { ...about, outcome: Outcome[outcome], ...(status !== undefined && { status: status.message }) };
  if (outcome === Outcome.INFRASTRUCTURE_FAILURE) logger.error(ended, "lease failed");
  else logger.debug(ended, "lease ended");
}

function encodeResult(result: LeaseResult): Uint8Array {
  return toBinary(AgentMessageSchema, create(AgentMessageSchema, { message: { case: "result", value: result } }));
}

function busy(leaseId: string): LeaseResult {
  return create(LeaseResultSchema, {
    leaseId,
    outcome: Outcome.BUSY,
    status: { code: Code.ResourceExhausted, message: "the agent is full with leases of other scheduler shards" },
  });
}

function tooManyLeases(leaseId: string): LeaseResult {
  return create(LeaseResultSchema, {
    leaseId,
    outcome: Outcome.INFRASTRUCTURE_FAILURE,
    status: { code: Code.ResourceExhausted, message: `the agent holds ${MAX_HELD_LEASES} leases already` },
  });
}

function tooLarge(leaseId: string, bytes: number, maxBytes: number): LeaseResult {
  return create(LeaseResultSchema, {
    leaseId,
    outcome: Outcome.REFUSED,
    status: {
      code: Code.ResourceExhausted,
      message:
        `the action's result has ${bytes} bytes, and ${maxBytes} is the limit: ` +
        "declare a directory instead of so many single outputs",
    },
  });
}
