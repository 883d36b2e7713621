import type { ConnectError } from "@connectrpc/connect";

/**
 * Replaces halves of surrogate pairs in an error's message, as there are where a text that somebody sent was cut within a
 * character. Neither gRPC's trailers nor UTF-8 can hold them.
 */
export function makeMessageWellFormed(error: ConnectError): void {
  if (!error.rawMessage.isWellFormed()) Reflect.set(error, "rawMessage", error.rawMessage.toWellFormed());
}
