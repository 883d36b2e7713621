/** What the bench asks of the bare Worker, as JSON. */
export interface BareQueryRequest {
  /** Hashes, in hex. */
  readonly present: readonly string[];
  readonly asked: readonly string[];
  /** How often to look them up. */
  readonly times: number;
}

export interface BareQueryTimes {
  /** How many of those asked for are not there. */
  readonly missing: number;
  readonly timesMs: readonly number[];
}
