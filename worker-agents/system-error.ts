/** The code of an error of the operating system or of Node.js, such as `ENOENT`; undefined for any other value. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What a log line or a status says about `error`. Never a stack trace. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether `error`, or what it was caused by, says that a disk or a quota is full. */
export function isDiskFull(error: unknown): boolean {
  for (let each = error, depth = 0; each instanceof Error && depth < 5; each = each.cause, depth++) {
    const code = systemErrorCode(each);
    if (code === "ENOSPC" || code === "EDQUOT") return true;
  }
  return false;
}
