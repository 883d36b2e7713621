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
import type { OnPhase } from "./execute-lease.ts";
import { Interruption } from "./interruption.ts";

/** Beyond this the object has lost count: it learns so by a failure. */
const MAX_HELD_LEASES = 10_000;

export interface HeldLeasesOptions {
  /** Runs a lease to its result; never rejects. */
  readonly execute: (lease: Lease, onPhase: OnPhase, signal: AbortSignal) => Promise<LeaseResult>;
  /** Sends an encoded AgentMessage, or loses it where there is no connection. */
  readonly send: (message: Uint8Array) => void;
  readonly maxMessageBytes: number;
  readonly progressDelayMs: number;
  readonly logger: Logger;
}

interface HeldLease {
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

  /** For Hello. */
  get ids(): string[] {
    return [...this.#leases.keys()];
  }

  /** Starts a lease, unless it is held already. */
  accept(lease: Lease): void {
    const { leaseId } = lease;
    const held = this.#leases.get(leaseId);
    if (held !== undefined) {
      if (held.result !== undefined) this.#options.send(held.result);
      return;
    }
    if (this.#leases.size >= MAX_HELD_LEASES) {
      this.#options.send(encodeResult(tooManyLeases(leaseId)));
      return;
    }
    const fresh: HeldLease = { interrupt: new AbortController() };
    this.#leases.set(leaseId, fresh);
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

  /** On a new connection: says how each lease stands. */
  sendAll(): void {
    for (const { result, progress } of this.#leases.values()) {
      const message = result ?? progress?.();
      if (message !== undefined) this.#options.send(message);
    }
  }

  /** From now on new leases are handed back. */
  refuseNew(reason: Interruption): void {
    this.#refusal = reason;
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
    const { execute, send, maxMessageBytes, progressDelayMs, logger } = this.#options;
    const { leaseId, attempt } = lease;
    logger.debug({ leaseId, attempt, action: lease.actionDigest?.hash }, "lease begins");
    const onPhase: OnPhase = (phase, metadata) => {
      const progress = (): Uint8Array =>
        toBinary(
          AgentMessageSchema,
          create(AgentMessageSchema, { message: { case: "progress", value: { leaseId, phase, metadata } } }),
        );
      held.progress = progress;
      clearTimeout(held.progressTimer);
      held.progressTimer = setTimeout(() => {
        send(progress());
      }, progressDelayMs);
    };
    const result = await execute(lease, onPhase, held.interrupt.signal);
    clearTimeout(held.progressTimer);
    log(logger, result);
    let message = encodeResult(result);
    if (message.length > maxMessageBytes) message = encodeResult(tooLarge(leaseId, message.length, maxMessageBytes));
    held.result = message;
    send(message);
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

function log(logger: Logger, { leaseId, outcome, status }: LeaseResult): void {
  const about = { leaseId, outcome: Outcome[outcome], ...(status !== undefined && { status: status.message }) };
  if (outcome === Outcome.INFRASTRUCTURE_FAILURE) logger.error(about, "lease failed");
  else logger.debug(about, "lease ended");
}

function encodeResult(result: LeaseResult): Uint8Array {
  return toBinary(AgentMessageSchema, create(AgentMessageSchema, { message: { case: "result", value: result } }));
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
