/** Milliseconds of each unit that a `grpc-timeout` header may have. */
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** The longest delay that a timer can have; a longer deadline is none. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The value of a `grpc-timeout` header in milliseconds, or undefined if it is malformed: at most eight digits and a unit,
 * by the gRPC protocol.
 */
export function parseGrpcTimeout(value: string): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  const unitMs = unit === undefined ? undefined : UNIT_MS[unit];
  return unitMs === undefined ? undefined : Number(digits) * unitMs;
}

/** The header's value for `timeoutMs`, rounded up; at least a millisecond, at most what eight digits of seconds say. */
export function formatGrpcTimeout(timeoutMs: number): string {
  const ms = Math.max(Math.ceil(timeoutMs), 1);
  return ms < 1e8 ? `${ms}m` : `${Math.min(Math.ceil(ms / 1000), 99_999_999)}S`;
}
