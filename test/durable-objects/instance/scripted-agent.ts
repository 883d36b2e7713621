import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import WebSocket from "ws";
import {
  AgentMessageSchema,
  type CancelLease,
  type DrainRequest,
  type HelloSchema,
  InstanceMessageSchema,
  type Lease,
  LeaseResult_Outcome as Outcome,
  type LeaseResultSchema,
  type OutputRequest,
  type Welcome,
} from "../../../protos/gen/remex/agent/v1/agent_pb.ts";

/** What the object sent, one queue a kind. */
interface Received {
  welcome: Welcome;
  lease: Lease;
  cancel: CancelLease;
  acknowledgement: { leaseId: string };
  outputRequest: OutputRequest;
  drain: DrainRequest;
  closed: { code: number; reason: string };
}

/** The other side of the agent protocol, played by a test: it runs nothing and says what the test tells it to say. */
export class ScriptedAgent {
  readonly id: string;
  readonly #socket: WebSocket;
  readonly #received: { [K in keyof Received]: Received[K][] } = {
    welcome: [],
    lease: [],
    cancel: [],
    acknowledgement: [],
    outputRequest: [],
    drain: [],
    closed: [],
  };
  readonly #waiting: { [K in keyof Received]: ((item: Received[K]) => void)[] } = {
    welcome: [],
    lease: [],
    cancel: [],
    acknowledgement: [],
    outputRequest: [],
    drain: [],
    closed: [],
  };

  private constructor(id: string, socket: WebSocket) {
    this.id = id;
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.on("message", (data, isBinary) => {
      if (!isBinary || !(data instanceof ArrayBuffer)) return;
      const { message } = fromBinary(InstanceMessageSchema, new Uint8Array(data));
      switch (message.case) {
        case "welcome":
          this.#receive("welcome", message.value);
          break;
        case "lease":
          this.#receive("lease", message.value);
          break;
        case "cancel":
          this.#receive("cancel", message.value);
          break;
        case "acknowledgement":
          this.#receive("acknowledgement", message.value);
          break;
        case "outputRequest":
          this.#receive("outputRequest", message.value);
          break;
        case "drain":
          this.#receive("drain", message.value);
          break;
        case undefined:
          throw new Error("the object sent an empty message");
      }
    });
    socket.on("close", (code, reason) => {
      this.#receive("closed", { code, reason: reason.toString() });
    });
  }

  /** Opens a socket, without a Hello. */
  static async open(url: string, id: string, shard = 0, token?: string): Promise<ScriptedAgent> {
    const path = `/v1/instances/main/agent?shard=${shard}`;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(url.replace(/^http/, "ws") + path, { headers });
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return new ScriptedAgent(id, socket);
  }

  /** Opens a socket, says Hello and waits for the Welcome. */
  static async connect(
    url: string,
    id: string,
    hello: Omit<MessageInitShape<typeof HelloSchema>, "$typeName" | "$unknown"> = {},
    shard = 0,
  ): Promise<ScriptedAgent> {
    const agent = await ScriptedAgent.open(url, id, shard);
    agent.send({ case: "hello", value: { agentId: id, name: id, maxActions: 1, ...hello } });
    await agent.next("welcome");
    return agent;
  }

  send(message: MessageInitShape<typeof AgentMessageSchema>["message"]): void {
    if (message === undefined) return;
    this.#socket.send(toBinary(AgentMessageSchema, create(AgentMessageSchema, { message })));
  }

  sendRaw(data: Uint8Array | string): void {
    this.#socket.send(data);
  }

  /** The next message of a kind, whether it has come or is still to come. */
  next<K extends keyof Received>(kind: K): Promise<Received[K]> {
    const item = this.#received[kind].shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#waiting[kind].push(resolve));
  }

  /** How many messages of a kind have come that nobody asked for yet. */
  pending(kind: keyof Received): number {
    return this.#received[kind].length;
  }

  end(leaseId: string, result: Omit<MessageInitShape<typeof LeaseResultSchema>, "$typeName" | "$unknown">): void {
    this.send({ case: "result", value: { leaseId, ...result } });
  }

  complete(leaseId: string, exitCode = 0): void {
    this.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: { exitCode } });
  }

  /** Answers a request for output with what there is after its offset; "" says that the command has ended. */
  answer({ offset, requestId }: OutputRequest, text: string): void {
    const data = new TextEncoder().encode(text);
    this.send({ case: "output", value: { requestId, offset, data, end: text === "" } });
  }

  /** Loses the connection, as a network does. */
  close(): Promise<void> {
    return this.#end(undefined);
  }

  /** Takes leave, as an agent does that stops. */
  leave(): Promise<void> {
    return this.#end(1000);
  }

  async #end(code: number | undefined): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => this.#socket.once("close", resolve));
    this.#socket.close(code);
    await closed;
  }

  #receive<K extends keyof Received>(kind: K, item: Received[K]): void {
    const waiting = this.#waiting[kind].shift();
    if (waiting === undefined) this.#received[kind].push(item);
    else waiting(item);
  }
}
