import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { InstanceMessageSchema } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { log } from "../../src/log.ts";
import { Strangers } from "./strangers.ts";

/** The tag of agents' sockets. */
const AGENT_TAG = "agent";

/** Close codes: 4000 to 4999 are the application's own. */
export const CLOSE = { replaced: 4000, malformed: 4001, noHello: 4002, forgotten: 4003 } as const;

/**
 * How many sockets may be open that have not said Hello. Agents say it at once; where a deploy brings back more of them in
 * the same moment, those that are turned away come again a little later.
 */
export const MAX_STRANGERS = 512;

/** Which socket is which agent's. It is kept in the sockets' attachments, so that it survives hibernation. */
export class AgentSockets {
  readonly #context: DurableObjectState;
  readonly #sockets = new Map<string, WebSocket>();
  readonly #strangers: Strangers<WebSocket>;

  constructor(context: DurableObjectState, maxStrangers: number) {
    this.#context = context;
    const strangers: WebSocket[] = [];
    for (const socket of context.getWebSockets(AGENT_TAG)) {
      if (socket.readyState !== WebSocket.OPEN) continue;
      const agentId = attachedAgentId(socket);
      if (agentId === undefined) strangers.push(socket);
      else this.#sockets.set(agentId, socket);
    }
    strangers.sort((a, b) => acceptedAtMs(a) - acceptedAtMs(b));
    this.#strangers = new Strangers(maxStrangers, turnAway, strangers);
  }

  /** Takes a socket that says who it is later. One that has not said so for the longest time may have to go for it. */
  accept(socket: WebSocket, nowMs: number): void {
    this.#context.acceptWebSocket(socket, [AGENT_TAG]);
    socket.serializeAttachment({ acceptedAtMs: nowMs });
    this.#strangers.add(socket);
  }

  /** The socket is closed. */
  gone(socket: WebSocket): void {
    this.#strangers.delete(socket);
  }

  /** Takes the socket for the agent's; one that it had before is closed, since it can only be a dead one. */
  bind(socket: WebSocket, agentId: string): void {
    const earlier = this.#sockets.get(agentId);
    this.#strangers.delete(socket);
    this.#sockets.set(agentId, socket);
    socket.serializeAttachment({ agentId });
    if (earlier !== undefined && earlier !== socket) earlier.close(CLOSE.replaced, "the agent connected again");
  }

  /** The agent whose socket this is; undefined before its Hello, and once another socket took its place. */
  agentOf(socket: WebSocket): string | undefined {
    const agentId = attachedAgentId(socket);
    return agentId !== undefined && this.#sockets.get(agentId) === socket ? agentId : undefined;
  }

  unbind(agentId: string): void {
    this.#sockets.delete(agentId);
  }

  /** Nothing is known of the agent any more. Its socket is closed, so that one that lives connects again with a Hello. */
  forget(agentId: string): void {
    this.#sockets.get(agentId)?.close(CLOSE.forgotten, "the agent was taken for lost: connect again, with a Hello");
    this.#sockets.delete(agentId);
  }

  isConnected(agentId: string): boolean {
    return this.#sockets.has(agentId);
  }

  /** When the platform last answered a heartbeat of the agent. */
  lastHeartbeatMs(agentId: string): number | undefined {
    const socket = this.#sockets.get(agentId);
    return socket && this.#context.getWebSocketAutoResponseTimestamp(socket)?.getTime();
  }

  /** Sends if the agent is connected. What is lost on the way, it asks for when it is back: see Hello.lease_ids. */
  send(agentId: string, message: MessageInitShape<typeof InstanceMessageSchema>["message"]): void {
    const socket = this.#sockets.get(agentId);
    if (socket?.readyState !== WebSocket.OPEN || message === undefined) return;
    socket.send(toBinary(InstanceMessageSchema, create(InstanceMessageSchema, { message })));
  }
}

function turnAway(socket: WebSocket): void {
  log.warn({}, "a socket that said no Hello made room for others");
  socket.close(CLOSE.noHello, "too many sockets have not said Hello: connect again, and say it first and at once");
}

function acceptedAtMs(socket: WebSocket): number {
  const attachment: unknown = socket.deserializeAttachment();
  // Those that a version before accepted have none, and are the oldest.
  if (typeof attachment !== "object" || attachment === null || !("acceptedAtMs" in attachment)) return 0;
  return typeof attachment.acceptedAtMs === "number" ? attachment.acceptedAtMs : 0;
}

function attachedAgentId(socket: WebSocket): string | undefined {
  const attachment: unknown = socket.deserializeAttachment();
  if (typeof attachment !== "object" || attachment === null || !("agentId" in attachment)) return undefined;
  return typeof attachment.agentId === "string" ? attachment.agentId : undefined;
}
