import { create } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "../../protos/gen/google/rpc/code_pb.ts";
import { RetryInfoSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../../protos/gen/google/rpc/status_pb.ts";
import type { Failure } from "../scheduler/events.ts";

const CODES = {
  no_agent: Code.RESOURCE_EXHAUSTED,
  queue_full: Code.RESOURCE_EXHAUSTED,
  attempts_spent: Code.INTERNAL,
  abandoned: Code.CANCELLED,
  cancelled: Code.CANCELLED,
} as const satisfies Record<Failure["reason"], Code>;

/** What a client is told of a failure; `subject` is the operation or the action that it is about. */
export function failureStatus(failure: Failure, subject: string): Status {
  const details =
    failure.retryAfterMs === undefined
      ? []
      : [anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(failure.retryAfterMs) }))];
  return create(StatusSchema, { code: CODES[failure.reason], message: `${subject}: ${failure.message}`, details });
}

/** NOT_FOUND for an operation. */
export function unknownOperation(name: string): Status {
  return create(StatusSchema, {
    code: Code.NOT_FOUND,
    message: `operation ${name} is not known: it never was, or it ended too long ago; execute the action again`,
  });
}

/** UNAVAILABLE for an operation that the object could not write down. */
export function notKept(name: string): Status {
  return create(StatusSchema, {
    code: Code.UNAVAILABLE,
    message: `operation ${name} could not be stored; execute the action again`,
  });
}

/** INVALID_ARGUMENT for an action whose platform can't be read. */
export function invalidPlatform(message: string): Status {
  return create(StatusSchema, { code: Code.INVALID_ARGUMENT, message });
}
