import { durationText, timeText } from "./text.ts";

/** A moment: its time of day, or with `ago` how long it is past. */
export function Time({
  ago = false,
  atMs,
  nowMs,
}: {
  readonly ago?: boolean;
  readonly atMs: number;
  readonly nowMs: number;
}) {
  const exact = timeText(atMs, nowMs);
  return (
    <time datetime={new Date(atMs).toISOString()} title={exact}>
      {ago ? agoText(nowMs - atMs) : exact}
    </time>
  );
}

function agoText(agoMs: number): string {
  if (agoMs < 1000) return "now";
  if (agoMs < 60_000) return `${Math.floor(agoMs / 1000)} s ago`;
  if (agoMs < 3_600_000) return `${Math.floor(agoMs / 60_000)} min ago`;
  if (agoMs < 48 * 3_600_000) return `${Math.floor(agoMs / 3_600_000)} h ago`;
  return `${Math.floor(agoMs / 86_400_000)} days ago`;
}

export function Duration({ ms }: { readonly ms: number | undefined }) {
  return <>{ms === undefined ? "" : durationText(ms)}</>;
}
