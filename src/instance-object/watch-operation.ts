import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import {
  type WatchEvent,
  WatchEventSchema,
  WatchRequestSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { Env } from "../env.ts";
import { errorFromStatus } from "../errors/status.ts";
import { unavailableError } from "../errors/unavailable.ts";
import { formatObjectName, type OperationName } from "./operation-name.ts";

/** How a watcher comes back to an object that was restarted or redeployed; the pause doubles, up to the longest. */
const RECONNECT = { attempts: 12, firstPauseMs: 50, longestPauseMs: 5000, retryAfterMs: 1000 } as const;

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
  let request = first;
  let failures = 0;
  while (!signal.aborted) {
    const socket = await openSocket(env, operation);
    if (socket !== undefined) {
      const events = new LatestEvent(socket, signal);
      try {
        socket.send(toBinary(WatchRequestSchema, create(WatchRequestSchema, { request })));
        for (;;) {
          const event = await events.next();
          if (event === undefined) break;
          if (event.case === "refusal") throw errorFromStatus(event.value);
          if (event.case === undefined) continue;
          failures = 0;
          // It exists, and must not be made anew if it has ended and is forgotten in the meantime.
          request = { case: "attach", value: { operationName: event.value.name } };
          yield event.value;
          if (event.value.done) return;
        }
      } finally {
        socket.close(1000, "done");
      }
    }
    failures += 1;
    if (failures > RECONNECT.attempts) {
      throw unavailableError("the instance's scheduler is out of reach; try again", RECONNECT.retryAfterMs);
    }
    const pauseMs = Math.min(RECONNECT.firstPauseMs * 2 ** (failures - 1), RECONNECT.longestPauseMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs * (1 - Math.random() / 2)));
  }
}

async function openSocket(env: Env, operation: OperationName): Promise<WebSocket | undefined> {
  const stub = env.INSTANCE.get(env.INSTANCE.idFromName(formatObjectName(operation)));
  try {
    const response = await stub.fetch(`https://instance/watch/${operation.id}`, { headers: { upgrade: "websocket" } });
    const socket = response.webSocket;
    if (socket === null) return undefined;
    socket.accept();
    socket.binaryType = "arraybuffer";
    return socket;
  } catch {
    // The object restarts, or is overloaded: both pass, and the caller counts.
    return undefined;
  }
}

/** The newest event of a socket that was not taken yet. States supersede each other, so one place is enough. */
class LatestEvent {
  #event: WatchEvent["event"] | undefined;
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(socket: WebSocket, signal: AbortSignal) {
    socket.addEventListener("message", ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      this.#event = fromBinary(WatchEventSchema, new Uint8Array(data)).event;
      this.#wake();
    });
    const close = () => {
      this.#closed = true;
      this.#wake();
    };
    socket.addEventListener("close", close);
    socket.addEventListener("error", close);
    signal.addEventListener("abort", close);
  }

  /** Undefined when the socket is closed. */
  async next(): Promise<WatchEvent["event"] | undefined> {
    while (this.#event === undefined && !this.#closed) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const event = this.#event;
    this.#event = undefined;
    return event;
  }
}
