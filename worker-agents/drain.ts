import type { Logger } from "pino";
import { aborted } from "./aborted.ts";
import type { HeldLeases } from "./leases/held-leases.ts";
import { Interruption } from "./leases/interruption.ts";
import type { ShardLinks } from "./shards/shard-links.ts";

export interface DrainOptions {
  /** Aborts when the agent is to drain. */
  readonly signal: AbortSignal;
  /** Aborts when it is to stop at once. */
  readonly killSignal: AbortSignal;
  readonly drainTimeoutMs: number;
  readonly acknowledgementTimeoutMs: number;
  readonly logger: Logger;
}

/** Waits until the agent is to stop, and then until it may: when it has drained, or is to stop at once. */
export async function drain(leases: HeldLeases, links: ShardLinks, options: DrainOptions): Promise<void> {
  const { signal, killSignal, drainTimeoutMs, acknowledgementTimeoutMs, logger } = options;
  const within = (ms: number): AbortSignal => AbortSignal.any([killSignal, AbortSignal.timeout(ms)]);

  await aborted(AbortSignal.any([signal, killSignal]));
  if (killSignal.aborted) return;
  logger.info({ running: leases.size, drainTimeoutMs }, "draining");
  leases.refuseNew(new Interruption("handed-back", "the agent is draining"));
  links.sendAll({ case: "drain", value: {} });
  await leases.whenNoneRuns(within(drainTimeoutMs));
  const late = `the agent stops, and the action did not end within ${drainTimeoutMs / 1000} s`;
  leases.interruptAll(new Interruption("handed-back", late));
  await leases.whenNoneRuns(within(acknowledgementTimeoutMs));
  await leases.whenNoneIsHeld(within(acknowledgementTimeoutMs));
}
