import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { WebSocketServer, type WebSocket } from "ws";
import {
  AgentMessageSchema,
  InstanceMessageSchema,
  type AgentMessage,
  type Capacity,
  type Hello,
  type LeaseProgress,
  type LeaseProgress_Phase,
  type LeaseResult,
  type LeaseSchema,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { CasServer } from "./cas-server.ts";

/** The endpoint as an agent sees it: a CAS, and the Instance object's side of the agents' sockets. */
export class AgentPeer {
  readonly cas = new CasServer();
  /** Answers the next socket with this HTTP status instead of opening it. */
  refuseWith: number | undefined;
  /** Of each upgrade. */
  readonly upgrades: IncomingMessage[] = [];
  heartbeatIntervalMs = 60_000;
  /** What Welcome says that actions use up. */
  minimumProperties: readonly string[] = ["cpu_count", "memory_kb"];
  /** Answers a call in place of the CAS where it returns true. */
  answerCall: ((response: ServerResponse) => boolean) | undefined;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #connections = new Queue<AgentConnection>();

  private constructor() {
    const answerByCas = connectNodeAdapter({ routes: this.cas.routes });
    this.#server = createServer((request, response) => {
      if (this.answerCall?.(response) !== true) answerByCas(request, response);
    });
    this.#server.on("upgrade", (request, socket, head) => {
      this.#upgrade(request, socket, head);
    });
  }

  static async start(): Promise<AgentPeer> {
    const peer = new AgentPeer();
    peer.#server.listen(0, "127.0.0.1");
    await once(peer.#server, "listening");
    return peer;
  }

  get endpoint(): URL {
    return new URL(`http://127.0.0.1:${this.#port}`);
  }

  get #port(): number {
    // `address()` is a string for unix sockets only.
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening on a port");
    return address.port;
  }

  /** The next socket that an agent opens. */
  async connection(): Promise<AgentConnection> {
    return this.#connections.take((connection) => connection);
  }

  /** The next socket, after its Hello has been answered. */
  async welcomed(): Promise<{ readonly connection: AgentConnection; readonly hello: Hello }> {
    const connection = await this.connection();
    return { connection, hello: await connection.welcome(this.heartbeatIntervalMs, this.minimumProperties) };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades.push(request);
    if (this.refuseWith !== undefined) {
      socket.end(`HTTP/1.1 ${this.refuseWith} No\r\ncontent-length: 9\r\nconnection: close\r\n\r\nnot today`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) => {
      this.#connections.add(new AgentConnection(opened));
    });
  }
}

/** The object's end of one socket. */
export class AgentConnection {
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  readonly #received = new Queue<AgentMessage["message"]>();
  /** Whether heartbeats are answered. */
  answersHeartbeats = true;
  /** How many have come. */
  heartbeats = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data, isBinary) => {
      if (isBinary && Buffer.isBuffer(data)) this.#received.add(fromBinary(AgentMessageSchema, data).message);
      else {
        this.heartbeats++;
        if (this.answersHeartbeats) socket.send("pong");
      }
    });
    this.closed = new Promise((resolve) => socket.on("close", resolve));
  }

  async welcome(heartbeatIntervalMs = 60_000, minimums: readonly string[] = []): Promise<Hello> {
    const hello = await this.#next("hello");
    this.send({
      case: "welcome",
      value: {
        heartbeatInterval: durationFromMs(heartbeatIntervalMs),
        minimumProperties: { names: [...minimums] },
      },
    });
    return hello.value;
  }

  lease(lease: MessageInitShape<typeof LeaseSchema>): void {
    this.send({ case: "lease", value: lease });
  }

  /** The next result. Acknowledges it, unless told not to. */
  async result({ acknowledge = true } = {}): Promise<LeaseResult> {
    const { value } = await this.#next("result");
    if (acknowledge) this.send({ case: "acknowledgement", value: { leaseId: value.leaseId } });
    return value;
  }

  /** The next progress that tells of this phase. */
  async progress(phase: LeaseProgress_Phase): Promise<LeaseProgress> {
    for (;;) {
      const { value } = await this.#next("progress");
      if (value.phase === phase) return value;
    }
  }

  /** The next word of how much of the agent may be used. */
  async capacity(): Promise<Capacity> {
    return (await this.#next("capacity")).value;
  }

  async drain(): Promise<void> {
    await this.#next("drain");
  }

  send(message: MessageInitShape<typeof InstanceMessageSchema>["message"]): void {
    this.sendRaw(
      toBinary(InstanceMessageSchema, create(InstanceMessageSchema, message === undefined ? {} : { message })),
    );
  }

  sendRaw(data: Uint8Array | string): void {
    this.#socket.send(data);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Cuts the connection. */
  terminate(): void {
    this.#socket.terminate();
  }

  /** The next message of this kind; those of other kinds stay. */
  async #next<Case extends AgentMessage["message"]["case"]>(
    kind: Case,
  ): Promise<Extract<AgentMessage["message"], { case: Case }>> {
    type Wanted = Extract<AgentMessage["message"], { case: Case }>;
    const isWanted = (message: AgentMessage["message"]): message is Wanted => message.case === kind;
    return this.#received.take((message) => (isWanted(message) ? message : undefined));
  }
}

/** Items that come, and takers that wait for them. */
class Queue<Item> {
  readonly #items: Item[] = [];
  readonly #takers = new Set<() => void>();

  add(item: Item): void {
    this.#items.push(item);
    for (const check of [...this.#takers]) check();
  }

  /** The first item of which `select` returns something. */
  async take<Wanted>(select: (item: Item) => Wanted | undefined): Promise<Wanted> {
    const { promise, resolve } = Promise.withResolvers<Wanted>();
    const check = (): void => {
      for (const [index, item] of this.#items.entries()) {
        const wanted = select(item);
        if (wanted === undefined) continue;
        this.#takers.delete(check);
        this.#items.splice(index, 1);
        resolve(wanted);
        return;
      }
    };
    this.#takers.add(check);
    check();
    return promise;
  }
}
