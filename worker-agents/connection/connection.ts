import { fromBinary, toBinary, type MessageInitShape, create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import {
  AgentMessageSchema,
  InstanceMessageSchema,
  type HelloSchema,
  type InstanceMessage,
  type Welcome,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { backoffMs, sleep, type Backoff } from "../backoff.ts";
import { errorMessage } from "../system-error.ts";
import { AgentSocket, type SocketEnd } from "./agent-socket.ts";

/** Where Welcome states no interval. */
const DEFAULT_HEARTBEAT_MS = 10_000;

/** No endpoint has reason to ask for heartbeats more often or more seldom; beyond some weeks, a timer rings all the time. */
const LEAST_HEARTBEAT_MS = 10;
const MOST_HEARTBEAT_MS = 10 * 60_000;

/** How the endpoint answers an agent that it will never take as it is, and how the object closes its socket. */
const REFUSAL_STATUSES = new Set([400, 401, 403, 404]);
const REFUSAL_CLOSE_CODE = 4001;

/** The endpoint would not have this agent when it first came. */
export class AgentRefusedError extends Error {
  override readonly name = "AgentRefusedError";
}

export interface ConnectionOptions {
  readonly url: URL;
  /** Asked for each socket. */
  readonly token: (() => string) | undefined;
  readonly reconnect: Backoff;
  readonly welcomeTimeoutMs: number;
  readonly logger: Logger;
  /** The first message of each socket. */
  hello(): MessageInitShape<typeof HelloSchema>;
  /** After each Welcome: now messages can be sent. */
  onWelcome(welcome: Welcome): void;
  onMessage(message: InstanceMessage["message"]): void;
}

/** Keeps one socket to the Instance object open, and opens another when it is lost. */
export class Connection {
  readonly #options: ConnectionOptions;
  #welcomed: AgentSocket | undefined;
  #everWelcomed = false;
  #socket: AgentSocket | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Sends an encoded AgentMessage; does nothing while there is no connection. */
  send(bytes: Uint8Array): void {
    this.#welcomed?.send(bytes);
  }

  /** Ends the socket, so that another one begins with a new Hello. */
  renew(reason: string): void {
    this.#socket?.terminate(reason);
  }

  /**
   * Connects, and connects again, until `signal` aborts; then closes the socket.
   * @throws AgentRefusedError if the endpoint refuses the agent before it has ever welcomed it
   */
  async run(signal: AbortSignal): Promise<void> {
    const { reconnect, logger, url } = this.#options;
    let attempt = 0;
    for (;;) {
      const end = await this.#connectOnce(signal);
      if (end === undefined) return;
      const { reason, httpStatus = 0, closeCode, welcomedForMs } = end;
      const refused = REFUSAL_STATUSES.has(httpStatus) || closeCode === REFUSAL_CLOSE_CODE;
      if (refused && !this.#everWelcomed) throw new AgentRefusedError(`${url.href}: ${reason}`);
      // A connection that lasts only a moment each time is to be tried more and more slowly, too.
      attempt = welcomedForMs > reconnect.maxMs ? 1 : attempt + 1;
      const delayMs = Math.round(backoffMs(reconnect, attempt));
      logger.warn({ reason, delayMs, attempt }, "not connected; trying again");
      await sleep(delayMs, signal);
    }
  }

  /** Opens a socket and waits for its end. Undefined if it ended because `signal` aborted. */
  async #connectOnce(signal: AbortSignal): Promise<(SocketEnd & { readonly welcomedForMs: number }) | undefined> {
    if (signal.aborted) return undefined;
    const { url, token, welcomeTimeoutMs, logger } = this.#options;
    const session = { welcomedAt: Infinity, stopping: false };
    const socket: AgentSocket = new AgentSocket(
      { url, token: token?.(), handshakeTimeoutMs: welcomeTimeoutMs, logger },
      {
        onOpen: () => {
          const hello = create(AgentMessageSchema, { message: { case: "hello", value: this.#options.hello() } });
          socket.send(toBinary(AgentMessageSchema, hello));
        },
        onMessage: (bytes) => {
          const message = this.#parse(bytes);
          if (message?.case === "welcome") {
            clearTimeout(welcomeTimer);
            socket.startHeartbeats(heartbeatMs(message.value));
            session.welcomedAt = performance.now();
            this.#everWelcomed = true;
            this.#welcomed = socket;
            this.#options.onWelcome(message.value);
          } else if (message !== undefined) {
            this.#options.onMessage(message);
          }
        },
      },
    );
    this.#socket = socket;
    const welcomeTimer = setTimeout(() => {
      socket.terminate(`no Welcome within ${welcomeTimeoutMs / 1000} s`);
    }, welcomeTimeoutMs);
    const close = (): void => {
      session.stopping = true;
      socket.close();
    };
    signal.addEventListener("abort", close, { once: true });
    const end = await socket.ended;
    signal.removeEventListener("abort", close);
    clearTimeout(welcomeTimer);
    this.#welcomed = undefined;
    this.#socket = undefined;
    return session.stopping ? undefined : { ...end, welcomedForMs: performance.now() - session.welcomedAt };
  }

  /** What a frame says; undefined, and logged, if this agent doesn't understand it. */
  #parse(bytes: Uint8Array): InstanceMessage["message"] | undefined {
    try {
      const { message } = fromBinary(InstanceMessageSchema, bytes);
      if (message.case !== undefined) return message;
      this.#options.logger.warn("ignored a message of a kind that this agent does not know");
    } catch (error) {
      this.#options.logger.warn({ error: errorMessage(error) }, "ignored a malformed message");
    }
    return undefined;
  }
}

function heartbeatMs({ heartbeatInterval }: Welcome): number {
  const intervalMs = heartbeatInterval === undefined ? 0 : durationMs(heartbeatInterval);
  return intervalMs > 0 ? Math.min(Math.max(intervalMs, LEAST_HEARTBEAT_MS), MOST_HEARTBEAT_MS) : DEFAULT_HEARTBEAT_MS;
}
