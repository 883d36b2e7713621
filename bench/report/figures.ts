/** Three significant digits, without an exponent: 12.3, 0.0123, 12300. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (Math.abs(value) >= 100) return String(Math.round(value));
  const digits = Number(value.toPrecision(3));
  return digits.toLocaleString("en-US", { maximumFractionDigits: 6, useGrouping: false });
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${figure(share * 100)}%` : "-";
}

export function mebibytes(bytes: number): string {
  return figure(bytes / 2 ** 20);
}

export function dollars(usd: number): string {
  return `$${figure(usd)}`;
}
