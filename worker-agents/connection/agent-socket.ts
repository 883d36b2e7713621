import type { Logger } from "pino";
import WebSocket, { type RawData } from "ws";
import { endpointAgent } from "../../endpoint/endpoint-agent.ts";

/** A larger message from the object would be a mistake: the platform's own limit. */
const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** How long the other side has to answer a close. */
const CLOSE_TIMEOUT_MS = 1_000;

/** How much of a refusal's body is shown. */
const MAX_REFUSAL_CHARACTERS = 500;

export interface AgentSocketOptions {
  readonly url: URL;
  readonly token: string | undefined;
  readonly handshakeTimeoutMs: number;
  readonly logger: Logger;
}

export interface AgentSocketEvents {
  onOpen(): void;
  onMessage(bytes: Uint8Array): void;
}

/** Why a socket is no more. */
export interface SocketEnd {
  readonly reason: string;
  /** Set where the endpoint answered, but would not open a socket. */
  readonly httpStatus?: number;
  /** Set where the other side closed it. */
  readonly closeCode?: number;
}

/** One WebSocket to the object, with heartbeats. It is used for one connection; `ended` never rejects. */
export class AgentSocket {
  readonly ended: Promise<SocketEnd>;
  readonly #socket: WebSocket;
  readonly #logger: Logger;
  #heartbeat: NodeJS.Timeout | undefined;
  #closing: NodeJS.Timeout | undefined;
  /** Pings that nothing has answered yet. */
  #unanswered = 0;
  #failure: SocketEnd | undefined;

  constructor({ url, token, handshakeTimeoutMs, logger }: AgentSocketOptions, events: AgentSocketEvents) {
    this.#logger = logger;
    const socket = new WebSocket(url, {
      agent: endpointAgent(url),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      handshakeTimeout: handshakeTimeoutMs,
      maxPayload: MAX_PAYLOAD_BYTES,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    socket.on("open", () => {
      events.onOpen();
    });
    socket.on("message", (data, isBinary) => {
      // Whatever comes, the other side is there.
      this.#unanswered = 0;
      if (isBinary) events.onMessage(toBytes(data));
      else if (toBytes(data).toString() !== "pong") logger.warn("ignored a text message that is no heartbeat");
    });
    socket.on("unexpected-response", (request, response) => {
      const { statusCode = 0 } = response;
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body = (body + text).slice(0, MAX_REFUSAL_CHARACTERS);
      });
      response.on("close", () => {
        this.#failure = { reason: `the endpoint answered ${statusCode} ${body.trim()}`.trim(), httpStatus: statusCode };
        request.destroy();
        socket.terminate();
      });
    });
    socket.on("error", (error) => {
      this.#failure ??= { reason: error.message };
    });
    this.ended = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        clearInterval(this.#heartbeat);
        clearTimeout(this.#closing);
        const said = reason.length > 0 ? `: ${reason.toString()}` : "";
        resolve(this.#failure ?? { reason: `closed with code ${code}${said}`, closeCode: code });
      });
    });
  }

  send(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /**
   * Sends a heartbeat every `intervalMs`, and ends the socket when two have gone unanswered: a connection that died
   * without a word is found within about two intervals. Counting heartbeats rather than time, an agent that was busy or
   * suspended does not take its own absence for the other side's.
   */
  startHeartbeats(intervalMs: number): void {
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      if (this.#unanswered >= 2) {
        this.terminate("two heartbeats went unanswered");
        return;
      }
      this.#unanswered++;
      this.#socket.send("ping");
    }, intervalMs);
  }

  /** Says good-bye. */
  close(): void {
    this.#socket.close(1000, "the agent stops");
    this.#closing = setTimeout(() => {
      this.terminate("the other side did not answer the close");
    }, CLOSE_TIMEOUT_MS);
  }

  /** Ends the socket without waiting for the other side. */
  terminate(reason: string): void {
    this.#logger.debug({ reason }, "ending the socket");
    this.#failure ??= { reason };
    this.#socket.terminate();
  }
}

function toBytes(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
