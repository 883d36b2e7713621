export const QUEUED = [1_000, 10_000, 100_000, 1_000_000];
export const AGENTS = [10, 100, 1_000, 10_000];
export const GROUPS = [1, 10, 100];

/** Builds that take turns in each queue. */
export const INVOCATIONS = 10;

/** Actions that end in each round of a measurement. */
export const ACTIONS = 20_000;
