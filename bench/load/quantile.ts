/**
 * The `q`-quantile of `sorted` (ascending), linear between the two nearest samples: the definition that R, NumPy and
 * spreadsheets use unless told otherwise (type 7 of Hyndman and Fan). NaN if there are no samples.
 */
export function quantile(sorted: Float64Array, q: number): number {
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** The 0.5-quantile of a few figures. */
export function median(values: readonly number[]): number {
  return quantile(Float64Array.from(values).sort(), 0.5);
}
