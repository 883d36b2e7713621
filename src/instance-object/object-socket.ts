import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Env } from "../env.ts";
import { tooManyCallsError } from "../errors/too-many-calls.ts";
import { instanceStub } from "./instance-objects.ts";
import type { InstanceShard } from "./operation-name.ts";

/**
 * A socket to an Instance object. What comes in is kept one message deep: the peers of these sockets either send states,
 * of which the newest says all, or answer one request at a time.
 */
export class ObjectSocket<In extends DescMessage, Out extends DescMessage> {
  readonly #socket: WebSocket;
  readonly #out: Out;
  #newest: MessageShape<In> | undefined;
  #closed = false;
  #wake: () => void = () => undefined;

  private constructor(socket: WebSocket, incoming: In, out: Out, signal: AbortSignal) {
    this.#socket = socket;
    this.#out = out;
    socket.addEventListener("message", ({ data }) => {
      if (!(data instanceof ArrayBuffer)) return;
      this.#newest = fromBinary(incoming, new Uint8Array(data));
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

  /**
   * Undefined if the object can't be reached now: it restarts, or is overloaded.
   * @param signal when it is aborted, the socket counts as closed
   * @throws ConnectError RESOURCE_EXHAUSTED if too many clients wait at the object
   */
  static async open<In extends DescMessage, Out extends DescMessage>(
    env: Env,
    shard: InstanceShard,
    path: string,
    messages: { readonly incoming: In; readonly outgoing: Out },
    signal: AbortSignal,
  ): Promise<ObjectSocket<In, Out> | undefined> {
    const stub = instanceStub(env, shard);
    let response: Response;
    try {
      response = await stub.fetch(`https://instance${path}`, { headers: { upgrade: "websocket" } });
    } catch {
      // The caller counts how often this happens, and gives up with UNAVAILABLE.
      return undefined;
    }
    if (response.status === 429) throw tooManyCallsError(`wait for actions of instance "${shard.instanceName}"`);
    const socket = response.webSocket;
    if (socket === null) return undefined;
    socket.accept();
    socket.binaryType = "arraybuffer";
    return new ObjectSocket(socket, messages.incoming, messages.outgoing, signal);
  }

  send(message: MessageInitShape<Out>): void {
    this.#socket.send(toBinary(this.#out, create(this.#out, message)));
  }

  /**
   * The newest message that was not taken yet; undefined when the socket is closed.
   * @param patienceMs how long to wait for one; "late" after that
   */
  async next(patienceMs?: number): Promise<MessageShape<In> | "late" | undefined> {
    const patience = { over: false };
    const timer =
      patienceMs &&
      setTimeout(() => {
        patience.over = true;
        this.#wake();
      }, patienceMs);
    while (this.#newest === undefined && !this.#closed && !patience.over) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (timer !== undefined) clearTimeout(timer);
    const newest = this.#newest;
    this.#newest = undefined;
    return newest ?? (patience.over ? "late" : undefined);
  }

  close(): void {
    this.#socket.close(1000, "done");
  }
}
