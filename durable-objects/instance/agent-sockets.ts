import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { InstanceMessageSchema } from "../../protos/gen/remex/agent/v1/agent_pb.ts";

/** The tag of agents' sockets. */
export const AGENT_TAG = "agent";

/** Close codes: 4000 to 4999 are the application's own. */
export const CLOSE = { replaced: 4000, malformed: 4001 } as const;

/** Which socket is which agent's. It is kept in the sockets' attachments, so that it survives hibernation. */
export class AgentSockets {
  readonly #context: DurableObjectState;
  readonly #sockets = new Map<string, WebSocket>();

  constructor(context: DurableObjectState) {
    this.#context = context;
    for (const socket of context.getWebSockets(AGENT_TAG)) {
      const agentId = attachedAgentId(socket);
      if (agentId !== undefined && socket.readyState === WebSocket.OPEN) this.#sockets.set(agentId, socket);
    }
  }

  /** Takes the socket for the agent's; one that it had before is closed, since it can only be a dead one. */
  bind(socket: WebSocket, agentId: string): void {
    const earlier = this.#sockets.get(agentId);
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

function attachedAgentId(socket: WebSocket): string | undefined {
  const attachment: unknown = socket.deserializeAttachment();
  if (typeof attachment !== "object" || attachment === null || !("agentId" in attachment)) return undefined;
  return typeof attachment.agentId === "string" ? attachment.agentId : undefined;
}
