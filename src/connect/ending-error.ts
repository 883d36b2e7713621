import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { makeMessageWellFormed } from "../errors/well-formed-message.ts";

/** How Connect begins to say that a message can't be parsed. */
const UNPARSED = "parse binary: ";

/**
 * Mends the errors with which Connect itself ends a call, which no interceptor sees. The call's signal is aborted with such
 * an error just before it is written down for the client.
 *
 * A message that can't be parsed is INVALID_ARGUMENT: Connect says INTERNAL, on which clients try again.
 */
export function mendEndingError({ signal }: HandlerContext): void {
  signal.addEventListener("abort", () => {
    const error: unknown = signal.reason;
    if (!(error instanceof ConnectError)) return;
    makeMessageWellFormed(error);
    const unparsed = error.code === Code.Internal && error.rawMessage.startsWith(UNPARSED);
    if (unparsed) Reflect.set(error, "code", Code.InvalidArgument);
  });
}
