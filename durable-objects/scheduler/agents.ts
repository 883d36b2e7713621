import type { AgentDescription } from "./events.ts";
import { MAX_INPUT_ROOTS, MAX_LOCALITY_PROBES } from "./limits.ts";
import { fits, matches } from "./platform.ts";
import type { Agent, Group, Lease, Membership } from "./state.ts";

/**
 * Which agents there are, which groups each can serve, and which of them could take an execution right now. A change of
 * one agent costs O(the groups that it serves); a new group costs O(agents), once.
 */
export class Agents {
  readonly #agents = new Map<string, Agent>();
  /** Which agents have an input root. */
  readonly #holders = new Map<string, Set<Agent>>();

  get(id: string): Agent | undefined {
    return this.#agents.get(id);
  }

  all(): Iterable<Agent> {
    return this.#agents.values();
  }

  add(description: AgentDescription, nowMs: number): Agent {
    const agent: Agent = {
      id: description.id,
      name: description.name,
      offer: description.offer,
      maxActions: actionLimit(description),
      connected: false,
      awaited: false,
      draining: false,
      lastHeardMs: nowMs,
      capacityMilli: description.offer.capacityMilli,
      freeMilli: new Map(description.offer.capacityMilli),
      leases: new Map(),
      memberships: [],
      silence: undefined,
      reservedFor: undefined,
      inputRoots: new Set(),
    };
    this.#agents.set(agent.id, agent);
    return agent;
  }

  /** Takes over what the agent says of itself now; it stays the owner of its leases. */
  describe(agent: Agent, description: AgentDescription): void {
    agent.name = description.name;
    agent.offer = description.offer;
    agent.maxActions = actionLimit(description);
    agent.capacityMilli = description.offer.capacityMilli;
    free(agent);
    for (const root of agent.inputRoots) this.#forget(agent, root);
    agent.inputRoots.clear();
    for (const root of [...description.inputRoots].reverse()) this.remember(agent, root);
  }

  /** The agent may be used so much from now on. What runs there may already be more. */
  setCapacity(agent: Agent, maxActions: number, capacityMilli: ReadonlyMap<string, number>): void {
    agent.maxActions = maxActions;
    agent.capacityMilli = new Map([...agent.capacityMilli, ...capacityMilli]);
    free(agent);
  }

  /** The agent must not have leases. */
  remove(agent: Agent): void {
    this.leaveGroups(agent);
    for (const root of agent.inputRoots) this.#forget(agent, root);
    agent.inputRoots.clear();
    this.#agents.delete(agent.id);
  }

  /** Makes the agent a member of those of `groups` that it can serve, if it takes work at all. */
  joinGroups(agent: Agent, groups: Iterable<Group>): void {
    for (const group of groups) this.join(agent, group);
  }

  join(agent: Agent, group: Group): void {
    if (!agent.connected || agent.draining || !matches(group.requirement, agent.offer)) return;
    const membership: Membership = { agent, group, available: false, previous: undefined, next: undefined };
    agent.memberships.push(membership);
    group.members.add(membership);
    this.#refresh(membership);
  }

  leaveGroups(agent: Agent): void {
    for (const membership of agent.memberships) this.#detach(membership);
    agent.memberships.length = 0;
  }

  /** A group that is not kept any more. */
  dissolve(group: Group): void {
    for (const membership of group.members) {
      this.#detach(membership);
      const { memberships } = membership.agent;
      const index = memberships.indexOf(membership);
      const last = memberships.pop();
      if (last !== undefined && last !== membership) memberships[index] = last;
    }
  }

  /** Gives the lease to its agent: it uses up resources, and the agent goes to the end of its groups' order. */
  occupy(lease: Lease): void {
    const { agent } = lease;
    agent.leases.set(lease.id, lease);
    use(agent, lease, -1);
    for (const membership of agent.memberships) {
      if (membership.available) {
        membership.group.available.remove(membership);
        membership.available = false;
      }
      this.#refresh(membership);
    }
  }

  /** Gives back what the lease used. Who may have it is for `dispatchAgent` to say. */
  vacate(lease: Lease): void {
    if (lease.agent.leases.delete(lease.id)) use(lease.agent, lease, 1);
  }

  /** Brings the agent's availability up to date after a change of what it may take. */
  refresh(agent: Agent): void {
    for (const membership of agent.memberships) this.#refresh(membership);
  }

  /** The agent now has this input root. */
  remember(agent: Agent, root: string): void {
    if (agent.inputRoots.delete(root)) {
      agent.inputRoots.add(root);
      return;
    }
    agent.inputRoots.add(root);
    const holders = this.#holders.get(root);
    if (holders === undefined) this.#holders.set(root, new Set([agent]));
    else holders.add(agent);
    if (agent.inputRoots.size > MAX_INPUT_ROOTS) {
      for (const oldest of agent.inputRoots) {
        agent.inputRoots.delete(oldest);
        this.#forget(agent, oldest);
        break;
      }
    }
  }

  /** An agent that could take an execution of `group` now and has `root`, found within a bounded number of tries. */
  availableHolder(group: Group, root: string): Agent | undefined {
    let probes = 0;
    for (const agent of this.#holders.get(root) ?? []) {
      if (++probes > MAX_LOCALITY_PROBES) return undefined;
      if (agent.memberships.some((membership) => membership.group === group && membership.available)) return agent;
    }
    return undefined;
  }

  #refresh(membership: Membership): void {
    const can = canTake(membership.agent, membership.group);
    if (can === membership.available) return;
    membership.available = can;
    if (can) membership.group.available.append(membership);
    else membership.group.available.remove(membership);
  }

  #detach(membership: Membership): void {
    if (membership.available) membership.group.available.remove(membership);
    membership.available = false;
    membership.group.members.delete(membership);
  }

  #forget(agent: Agent, root: string): void {
    const holders = this.#holders.get(root);
    holders?.delete(agent);
    if (holders?.size === 0) this.#holders.delete(root);
  }
}

/** Whether the agent, which can serve the group, has room for one of its executions now and isn't kept for another's. */
export function canTake(agent: Agent, group: Group): boolean {
  return (
    hasSlot(agent) &&
    (agent.reservedFor === undefined || agent.reservedFor === group) &&
    fits(group.requirement, agent.freeMilli)
  );
}

export function hasSlot(agent: Agent): boolean {
  return agent.connected && !agent.draining && agent.leases.size < agent.maxActions;
}

function actionLimit({ maxActions }: AgentDescription): number {
  return maxActions === 0 ? Infinity : maxActions;
}

/** Works out what is free. */
function free(agent: Agent): void {
  agent.freeMilli.clear();
  for (const [name, amountMilli] of agent.capacityMilli) agent.freeMilli.set(name, amountMilli);
  for (const lease of agent.leases.values()) use(agent, lease, -1);
}

function use(agent: Agent, lease: Lease, sign: 1 | -1): void {
  for (const { name, amountMilli } of lease.group.requirement.minimum) {
    agent.freeMilli.set(name, (agent.freeMilli.get(name) ?? 0) + sign * amountMilli);
  }
}
