import { Code } from "@connectrpc/connect";
import type { FrameError } from "./frames.ts";
import { statusTrailers, type Trailers } from "./trailers.ts";

/** The status of a call that got no answer. */
export function unreachable(endpoint: URL, reason: string): Trailers {
  return statusTrailers(
    Code.Unavailable,
    `cannot reach the Remex endpoint ${endpoint.href}: ${reason}; check that it is running and that the bridge was ` +
      "given its URL",
  );
}

/** The status of a call whose answer broke off. It may have had its effect, and is never OK. */
export function cutOff(endpoint: URL, reason: string): Trailers {
  return statusTrailers(
    Code.Unavailable,
    `the Remex endpoint ${endpoint.href} ended its response without a status (${reason}); try again`,
  );
}

/** The status of a call whose answer is complete, and says nothing: UNKNOWN, as gRPC has it of what has no status. */
export function withoutStatus(endpoint: URL): Trailers {
  return statusTrailers(
    Code.Unknown,
    `the Remex endpoint ${endpoint.href} gave an answer without a status; check that it is a Remex Worker of this version`,
  );
}

/** The status of a call whose answer breaks the protocol. */
export function malformedResponse(endpoint: URL, error: FrameError): Trailers {
  return statusTrailers(
    Code.Internal,
    `the response of ${endpoint.href} is malformed: ${error.message}; check that it is a Remex Worker of this version`,
  );
}
