/** Numbers, times and names as people read them. */

/** `84 ms`, `1.24 s`, `20 min`, `3 min 12 s`, `2 h 5 min`. */
export function durationText(durationMs: number): string {
  const ms = Math.max(durationMs, 0);
  if (ms < 1) return "0 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return twoUnits(s, "min", "s");
  return twoUnits(Math.round(s / 60), "h", "min");
}

function twoUnits(small: number, unit: string, smallUnit: string): string {
  const rest = small % 60;
  return `${Math.floor(small / 60)} ${unit}${rest === 0 ? "" : ` ${rest} ${smallUnit}`}`;
}

/** `812 B`, `12.3 KiB`, `4.0 GiB`. */
export function sizeText(sizeBytes: number): string {
  if (sizeBytes < 1024) return `${sizeBytes} B`;
  let size = sizeBytes;
  let unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB"]) {
    if (size < 1024) break;
    size /= 1024;
    unit = next;
  }
  return `${size.toFixed(size < 100 ? 1 : 0)} ${unit}`;
}

/** `1,204`. */
export function numberText(value: number): string {
  return value.toLocaleString("en-US");
}

/** `1 action`, `1,204 actions`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${numberText(count)} ${count === 1 ? one : many}`;
}

/** `79 %`, and `<1 %` for what is not nothing. */
export function shareText(share: number): string {
  const percent = Math.round(share * 100);
  return percent === 0 && share > 0 ? "<1 %" : `${percent} %`;
}

/** Dollars, with as many digits as small amounts need. */
export function dollarText(usd: number): string {
  if (usd === 0) return "$0";
  if (usd >= 1) return `$${usd.toFixed(2)}`;
  return `$${usd.toFixed(Math.min(1 - Math.floor(Math.log10(usd)), 9))}`;
}

/** The time of day in UTC, with the date where it is not today's. */
export function timeText(atMs: number, nowMs: number): string {
  const iso = new Date(atMs).toISOString();
  const isToday = iso.slice(0, 10) === new Date(nowMs).toISOString().slice(0, 10);
  return `${isToday ? "" : `${iso.slice(0, 10)} `}${iso.slice(11, 19)} UTC`;
}

/** The end of a path, with what comes before it left out where it is too long. */
export function shortened(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `…${text.slice(text.length - maxLength + 1)}`;
}
