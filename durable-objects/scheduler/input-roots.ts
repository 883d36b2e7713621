import { MAX_INPUT_ROOTS, MAX_LOCALITY_PROBES } from "./limits.ts";
import { type Linked, LinkedList } from "./linked-list.ts";
import { canTake } from "./memberships.ts";
import { matches } from "./platform.ts";
import type { Agent, Group } from "./state.ts";

/** An agent has an input root in its cache. */
interface Holding extends Linked<Holding> {
  readonly agent: Agent;
  readonly root: string;
  /** `agent.descriptions` when that was last known; what the agent said since then counts alone. */
  description: number;
}

/** Which agents have which input roots in their caches, as far as they are remembered: a hint, not a fact. */
export class InputRoots {
  /** By input root, at most as many as are ever asked. */
  readonly #holders = new Map<string, Holding[]>();
  /** Those that were of use most recently last. */
  readonly #holdings = new LinkedList<Holding>();

  /** The agent now has this input root. */
  remember(agent: Agent, root: string): void {
    const holders = this.#holders.get(root);
    const known = holders?.find((holding) => holding.agent === agent);
    if (known !== undefined) {
      known.description = agent.descriptions;
      this.#holdings.remove(known);
      this.#holdings.append(known);
      return;
    }
    const holding = { agent, root, description: agent.descriptions, previous: undefined, next: undefined };
    this.#holdings.append(holding);
    if (holders === undefined) this.#holders.set(root, [holding]);
    else holders.push(holding);
    const tooMany = this.#holdings.size > MAX_INPUT_ROOTS ? this.#holdings.first : undefined;
    if (tooMany !== undefined) this.#drop(tooMany);
    const [oldest] = holders ?? [];
    if (oldest !== undefined && holders !== undefined && holders.length > MAX_LOCALITY_PROBES) this.#drop(oldest);
  }

  /** An agent that could take an execution of `group` now and has `root`. */
  availableHolder(group: Group, root: string): Agent | undefined {
    for (const { agent, description } of this.#holders.get(root) ?? []) {
      if (description !== agent.descriptions) continue;
      if (canTake(agent, group) && matches(group.requirement, agent.offer)) return agent;
    }
    return undefined;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#holdings.size;
  }

  #drop(holding: Holding): void {
    this.#holdings.remove(holding);
    const holders = this.#holders.get(holding.root);
    if (holders === undefined) return;
    holders.splice(holders.indexOf(holding), 1);
    if (holders.length === 0) this.#holders.delete(holding.root);
  }
}
