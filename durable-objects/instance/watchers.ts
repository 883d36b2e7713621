import { create, toBinary } from "@bufbuild/protobuf";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import type { Status } from "../../protos/gen/google/rpc/status_pb.ts";
import { WatchEventSchema } from "../../protos/gen/remex/instance/v1/instance_pb.ts";

const OPERATION_TAG = "operation:";

/**
 * The sockets of Workers that serve Execute and WaitExecution, tagged with their operation's id: so the object may sleep
 * through a long action and still find them.
 */
export class Watchers {
  readonly #context: DurableObjectState;

  constructor(context: DurableObjectState) {
    this.#context = context;
  }

  accept(socket: WebSocket, operationId: string): void {
    this.#context.acceptWebSocket(socket, [OPERATION_TAG + operationId]);
  }

  /** The operation that the socket was opened for; undefined if it is no watcher's. */
  operationOf(socket: WebSocket): string | undefined {
    for (const tag of this.#context.getTags(socket)) {
      if (tag.startsWith(OPERATION_TAG)) return tag.slice(OPERATION_TAG.length);
    }
    return undefined;
  }

  of(operationId: string): WebSocket[] {
    return this.#context
      .getWebSockets(OPERATION_TAG + operationId)
      .filter(({ readyState }) => readyState === WebSocket.OPEN);
  }

  /** Tells the sockets how the operation stands; when it is done, that was the last word. */
  tell(sockets: readonly WebSocket[], operation: Operation): void {
    const event = toBinary(
      WatchEventSchema,
      create(WatchEventSchema, { event: { case: "operation", value: operation } }),
    );
    for (const socket of sockets) {
      socket.send(event);
      if (operation.done) socket.close(1000, "done");
    }
  }

  refuse(sockets: readonly WebSocket[], status: Status): void {
    const event = toBinary(WatchEventSchema, create(WatchEventSchema, { event: { case: "refusal", value: status } }));
    for (const socket of sockets) {
      socket.send(event);
      socket.close(1000, "refused");
    }
  }
}
