import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type OutputChunk, OutputRequest_Stream } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import {
  OutputEvent_State as State,
  OutputEventSchema,
  type ReadOutput,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import type { AgentSockets } from "./agent-sockets.ts";

const OUTPUT_TAG = "output:";
const READER_TAG = "reader:";

/** The most that an agent is asked for at once; one chunk a reader is under way at a time. */
const MAX_CHUNK_BYTES = 256 << 10;

/** Where a running action's output comes from. */
export interface OutputSource {
  readonly leaseId: string;
  readonly agentId: string;
}

/**
 * The sockets of Workers that read the output of running actions. Nothing is kept here: a reader asks for a piece, the
 * agent answers it, and the answer goes to the socket that the request's id names.
 */
export class OutputReaders {
  readonly #context: DurableObjectState;
  readonly #agents: AgentSockets;

  constructor(context: DurableObjectState, agents: AgentSockets) {
    this.#context = context;
    this.#agents = agents;
  }

  accept(socket: WebSocket, operationId: string): void {
    this.#context.acceptWebSocket(socket, [OUTPUT_TAG + operationId, READER_TAG + crypto.randomUUID()]);
  }

  /** The operation whose output the socket reads; undefined if it is no reader's. */
  operationOf(socket: WebSocket): string | undefined {
    return this.#tag(socket, OUTPUT_TAG);
  }

  /** Passes a reader's wish on to the agent, unless what it has read so far was another attempt's. */
  request(socket: WebSocket, source: OutputSource, { limit, offset, stream }: ReadOutput): void {
    const requestId = this.#tag(socket, READER_TAG);
    if (requestId === undefined || stream === OutputRequest_Stream.UNSPECIFIED) return;
    const attached = attachedLeaseId(socket);
    if (attached === undefined) socket.serializeAttachment({ leaseId: source.leaseId });
    else if (attached !== source.leaseId) {
      this.tell(socket, { state: State.LOST });
      return;
    }
    const bounded = Math.min(Math.max(limit, 1), MAX_CHUNK_BYTES);
    this.#agents.send(source.agentId, {
      case: "outputRequest",
      value: { requestId, leaseId: source.leaseId, stream, offset, limit: bounded },
    });
  }

  /** An agent's answer. An empty one says that the command has ended: the operation's end tells the reader the same. */
  answer({ data, offset, requestId }: OutputChunk): void {
    if (data.length === 0 || data.length > MAX_CHUNK_BYTES) return;
    for (const socket of this.#context.getWebSockets(READER_TAG + requestId)) this.tell(socket, { data, offset });
  }

  /** Tells whoever reads the operation's output that no more comes from where it came from. */
  end(operationId: string, state: State): void {
    for (const socket of this.#context.getWebSockets(OUTPUT_TAG + operationId)) this.tell(socket, { state });
  }

  tell(socket: WebSocket, event: MessageInitShape<typeof OutputEventSchema>): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(toBinary(OutputEventSchema, create(OutputEventSchema, event)));
  }

  #tag(socket: WebSocket, prefix: string): string | undefined {
    return this.#context
      .getTags(socket)
      .find((tag) => tag.startsWith(prefix))
      ?.slice(prefix.length);
  }
}

function attachedLeaseId(socket: WebSocket): string | undefined {
  const attachment: unknown = socket.deserializeAttachment();
  if (typeof attachment !== "object" || attachment === null || !("leaseId" in attachment)) return undefined;
  return typeof attachment.leaseId === "string" ? attachment.leaseId : undefined;
}
