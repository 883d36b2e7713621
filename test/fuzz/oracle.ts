import type { Answer } from "./answer.ts";
import { Violation } from "./violation.ts";

/** What a call may be answered with that is wrong in itself, or well-formed and about nothing that is there. */
export const REFUSALS: ReadonlySet<string> = new Set([
  "OK",
  "INVALID_ARGUMENT",
  "NOT_FOUND",
  "OUT_OF_RANGE",
  "FAILED_PRECONDITION",
  "RESOURCE_EXHAUSTED",
  "PERMISSION_DENIED",
  "UNIMPLEMENTED",
]);

/** What shows the inside of a program: stack traces, file names, and the ids under which faults of ours are logged. */
const LEAKS = [
  /^\s+at .+:\d+/m,
  /\.tsx?\b/,
  /worker\.js/,
  /node_modules/,
  /internal error/,
  /TypeError|RangeError|SyntaxError/,
];

/** @throws Violation if the answer is not one of those allowed, or shows what is nobody's business */
export function checkAnswer({ code, httpStatus, text }: Answer, allowed: ReadonlySet<string>, what: string): void {
  const shown = text.slice(0, 500);
  if (code === "NONE" ? httpStatus >= 500 : !allowed.has(code)) {
    throw new Violation(`${what}: answered with ${code}, HTTP ${httpStatus}: ${shown}`);
  }
  const leak = code === "OK" ? undefined : LEAKS.find((pattern) => pattern.test(text));
  if (leak !== undefined) throw new Violation(`${what}: the answer shows ${String(leak)}: ${shown}`);
}
