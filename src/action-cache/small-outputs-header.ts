/**
 * A request header of Remex's own on GetActionResult: put the contents of every output of at most so many bytes into the
 * result. REAPI's `inline_output_files` needs the paths, which only the result itself tells.
 */
export const SMALL_OUTPUTS_HEADER = "remex-inline-outputs-up-to-bytes";

/** The header's value; undefined where it is missing or no number. */
export function smallOutputBytes(headers: Headers): number | undefined {
  const value = headers.get(SMALL_OUTPUTS_HEADER) ?? "";
  return /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}
