import type { AgentDescription } from "./events.ts";
import { Holders } from "./holders.ts";
import { leaveGroups } from "./memberships.ts";
import type { Agent, Lease } from "./state.ts";

/** The agents that are known, by id, and what their leases leave of them. */
export class Agents {
  /** Who has an input root. */
  readonly inputRoots = new Holders<string>();
  /** Who has run an action of a target: after a change of some of its inputs, most of them are still there. */
  readonly targets = new Holders<number>();
  readonly #agents = new Map<string, Agent>();

  get(id: string): Agent | undefined {
    return this.#agents.get(id);
  }

  all(): Iterable<Agent> {
    return this.#agents.values();
  }

  /** A new agent, of which nothing is known but its id, and that is not connected yet. */
  add(id: string): Agent {
    const agent: Agent = {
      id,
      name: id,
      offer: { values: new Map(), capacityMilli: new Map() },
      maxActions: 0,
      connected: false,
      awaited: false,
      draining: false,
      lastHeardMs: -Infinity,
      capacityMilli: new Map(),
      freeMilli: new Map(),
      leases: new Map(),
      memberships: [],
      groups: [],
      availableIn: 0,
      silence: undefined,
      reservedFor: undefined,
      descriptions: 0,
    };
    this.#agents.set(id, agent);
    return agent;
  }

  /** Takes over what the agent says of itself now; it stays the owner of its leases. */
  describe(agent: Agent, description: AgentDescription): void {
    agent.name = description.name;
    agent.offer = description.offer;
    agent.draining = description.draining;
    agent.descriptions += 1;
    for (const root of description.inputRoots.toReversed()) this.inputRoots.remember(agent, root);
    const { maxActions, offer } = description;
    this.setCapacity(agent, maxActions === 0 ? Infinity : maxActions, offer.capacityMilli);
  }

  /** The agent may be used so much from now on. What runs there may already be more. */
  setCapacity(agent: Agent, maxActions: number, capacityMilli: ReadonlyMap<string, number>): void {
    agent.maxActions = maxActions;
    agent.capacityMilli = capacityMilli;
    agent.freeMilli.clear();
    for (const [name, amountMilli] of capacityMilli) agent.freeMilli.set(name, amountMilli);
    for (const lease of agent.leases.values()) use(lease, -1);
  }

  /** The agent must not have leases. */
  remove(agent: Agent): void {
    leaveGroups(agent);
    this.#agents.delete(agent.id);
  }

  /** Gives the lease to its agent, whose resources it uses up. */
  occupy(lease: Lease): void {
    lease.agent.leases.set(lease.id, lease);
    use(lease, -1);
  }

  /** Gives back what the lease used. */
  vacate(lease: Lease): void {
    if (lease.agent.leases.delete(lease.id)) use(lease, 1);
  }
}

function use({ agent, group }: Lease, sign: 1 | -1): void {
  for (const { name, amountMilli } of group.requirement.minimum) {
    agent.freeMilli.set(name, (agent.freeMilli.get(name) ?? 0) + sign * amountMilli);
  }
}
