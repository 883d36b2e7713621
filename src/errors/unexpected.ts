import { Code, ConnectError } from "@connectrpc/connect";
import { log } from "../log.ts";
import { makeMessageWellFormed } from "./well-formed-message.ts";

/**
 * What a client gets for an error. A ConnectError is meant for it. Anything else is a fault of ours: it is logged with an
 * id, and the client gets INTERNAL with that id and nothing of the fault itself.
 * @param about what else the log is to say, asked for if it says anything
 */
export function reportedError(error: unknown, about: () => object = () => ({})): ConnectError {
  if (error instanceof ConnectError) {
    makeMessageWellFormed(error);
    // What a client did wrong is of no interest here; what went wrong behind us is.
    if (error.cause !== undefined && error.code !== Code.InvalidArgument)
      log.warn({ ...about(), error }, "a call failed");
    return error;
  }
  const id = crypto.randomUUID();
  log.error({ ...about(), id, error }, "unexpected error");
  return new ConnectError(`internal error; the log has it under ${id}`, Code.Internal);
}
