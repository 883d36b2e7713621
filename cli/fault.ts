/** Something that the person at the terminal can put right. It is said in one line, and the exit code is 1. */
export class Fault extends Error {
  override readonly name = "Fault";
}

/** The `code` of an error of Node's (`EADDRINUSE`, `EACCES` …), of Miniflare's or of Node's module loader. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What an error says, without its stack. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
