/** Something that takes its time. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** Each span with the lowest lane in which nothing else is at that time; spans that overlap are in different lanes. */
export function inLanes<T extends Span>(spans: readonly T[]): { readonly span: T; readonly lane: number }[] {
  const freeAtMs: number[] = [];
  return [...spans]
    .sort((a, b) => a.startMs - b.startMs)
    .map((span) => {
      const found = freeAtMs.findIndex((atMs) => atMs <= span.startMs);
      const lane = found === -1 ? freeAtMs.length : found;
      freeAtMs[lane] = span.endMs;
      return { span, lane };
    });
}
