import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { AgentMessageSchema, type InstanceMessage, type Welcome } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { Connection, ConnectionOptions } from "../connection/connection.ts";
import type { HeldLeases, Link } from "../leases/held-leases.ts";
import type { SharedCapacity } from "./shared-capacity.ts";

/** An instance has no more shards than this; a Welcome that says otherwise is not believed. */
const MAX_SHARDS = 64;

export interface ShardLinksOptions {
  readonly leases: HeldLeases;
  readonly capacity: SharedCapacity;
  /** A connection to a shard, not yet running. */
  readonly connect: (
    shard: number,
    events: Pick<ConnectionOptions, "onWelcome" | "onMessage"> & { readonly leaseIds: () => string[] },
  ) => Connection;
  readonly onMessage: (message: InstanceMessage["message"], link: Link) => void;
  /** After each Welcome of a shard. */
  readonly onWelcome: (link: Link) => void;
}

/**
 * The agent's connections: one to each scheduler shard of its instance. The first is to shard 0, whose Welcome says how
 * many there are. Each is told what the others leave it of the agent.
 */
export class ShardLinks {
  readonly #options: ShardLinksOptions;
  readonly #links: Link[] = [];
  readonly #connections: Connection[] = [];
  readonly #runs: Promise<void>[] = [];
  readonly #waiting = new Set<Link>();
  #signal: AbortSignal | undefined;

  constructor(options: ShardLinksOptions) {
    this.#options = options;
  }

  /**
   * Keeps the connections until `signal` aborts.
   * @throws AgentRefusedError if the endpoint refuses the agent when it first comes
   */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#open(0);
    // More may be added while these run.
    for (let index = 0; index < this.#runs.length; index++) await this.#runs[index];
  }

  /** Sends a message to every shard. */
  sendAll(message: MessageInitShape<typeof AgentMessageSchema>["message"]): void {
    for (const link of this.#links) send(link, message);
  }

  /** Has each shard hear Hello again, on a new connection. */
  reconnectAll(reason: string): void {
    for (const connection of this.#connections) connection.renew(reason);
  }

  /** A lease of `changed` has begun or ended: the other shards have more or less of the agent. */
  share(changed: Link): void {
    for (const link of this.#links) if (link !== changed || this.#waiting.has(link)) this.#grant(link);
  }

  /** The shard was told that the agent is full, and gives it nothing until it hears otherwise. */
  wait(link: Link): void {
    this.#waiting.add(link);
  }

  #open(shard: number): void {
    if (this.#signal === undefined) return;
    const { connect, leases, onMessage, onWelcome } = this.#options;
    const link: Link = {
      shard,
      send: (message) => {
        connection.send(message);
      },
    };
    const connection: Connection = connect(shard, {
      leaseIds: () => leases.idsOf(link),
      onWelcome: (welcome) => {
        this.#openOthers(welcome);
        this.#waiting.delete(link);
        if (welcome.minimumProperties !== undefined) this.#options.capacity.useUp(welcome.minimumProperties.names);
        if (this.#links.length > 1) this.#grant(link);
        leases.sendAll(link);
        onWelcome(link);
      },
      onMessage: (message) => {
        onMessage(message, link);
      },
    });
    this.#links[shard] = link;
    this.#connections[shard] = connection;
    this.#runs.push(connection.run(this.#signal));
  }

  #openOthers({ shardCount }: Welcome): void {
    for (let shard = this.#links.length; shard < Math.min(shardCount, MAX_SHARDS); shard++) this.#open(shard);
  }

  #grant(link: Link): void {
    this.#waiting.delete(link);
    const { maxActions, minimums } = this.#options.capacity.grant(link.shard);
    send(link, { case: "capacity", value: { maxActions, minimums: [...minimums] } });
  }
}

function send(link: Link, message: MessageInitShape<typeof AgentMessageSchema>["message"]): void {
  if (message !== undefined) link.send(toBinary(AgentMessageSchema, create(AgentMessageSchema, { message })));
}
