/** What is measured: every combination. */
export interface Sizes {
  readonly queued: readonly number[];
  readonly agents: readonly number[];
  readonly groups: readonly number[];
  /** Actions that end in each round of a measurement. */
  readonly actions: number;
}

/** `tiny` shows in seconds that it works, and measures nothing. */
export const SIZES = {
  full: {
    queued: [1_000, 10_000, 100_000, 1_000_000],
    agents: [10, 100, 1_000, 10_000],
    groups: [1, 10, 100],
    actions: 20_000,
  },
  tiny: { queued: [100, 1_000], agents: [10], groups: [1, 2], actions: 500 },
} satisfies Record<string, Sizes>;

/** Builds that take turns in each queue. */
export const INVOCATIONS = 10;

/** From how many queued on the growth of an event's cost is looked at: below, everything is in the caches. */
export const GROWTH_FROM = 10_000;
