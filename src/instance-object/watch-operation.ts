import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { WatchEventSchema, WatchRequestSchema } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { Env } from "../env.ts";
import { errorFromStatus } from "../errors/status.ts";
import { ObjectSocket } from "./object-socket.ts";
import type { OperationName } from "./operation-name.ts";
import { Reconnects } from "./reconnects.ts";

const MESSAGES = { incoming: WatchEventSchema, outgoing: WatchRequestSchema };

type Request = NonNullable<MessageInitShape<typeof WatchRequestSchema>["request"]>;

/**
 * An operation's states as the Instance object tells them, the last one `done`. When states come faster than they are
 * taken, only the newest is kept. A socket that breaks is opened again.
 *
 * @param first what is said on the socket; an Enqueue may be said twice, since it carries the operation's name
 * @param signal when it is aborted the states end, and the object learns that nobody watches any more
 * @throws ConnectError with the object's refusal, or UNAVAILABLE if the object is out of reach for long
 */
export async function* watchOperation(
  env: Env,
  operation: OperationName,
  first: Request,
  signal: AbortSignal,
): AsyncGenerator<Operation, void, undefined> {
  const reconnects = new Reconnects();
  let request = first;
  while (!signal.aborted) {
    const socket = await ObjectSocket.open(env, operation, `/watch/${operation.id}`, MESSAGES, signal);
    try {
      socket?.send({ request });
      for (;;) {
        const message = await socket?.next();
        if (message === undefined || message === "late") break;
        const { event } = message;
        if (event.case === "refusal") throw errorFromStatus(event.value);
        if (event.case === undefined) continue;
        reconnects.succeeded();
        // It exists, and must not be made anew if it has ended and is forgotten in the meantime.
        request = { case: "attach", value: { operationName: event.value.name } };
        yield event.value;
        if (event.value.done) return;
      }
    } finally {
      socket?.close();
    }
    await reconnects.failed(signal);
  }
}
