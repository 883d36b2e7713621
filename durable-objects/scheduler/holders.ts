import { MAX_HOLDINGS, MAX_LOCALITY_PROBES } from "./limits.ts";
import { type Linked, LinkedList } from "./linked-list.ts";
import { canTake } from "./memberships.ts";
import { matches } from "./platform.ts";
import type { Agent, Group } from "./state.ts";

/** An agent has inputs in its cache. */
interface Holding<Inputs> extends Linked<Holding<Inputs>> {
  readonly agent: Agent;
  readonly inputs: Inputs;
  /** `agent.descriptions` when that was last known; what the agent said since then counts alone. */
  description: number;
}

/** Which agents have which inputs in their caches, as far as they are remembered: a hint, not a fact. */
export class Holders<Inputs> {
  /** By the name of the inputs, at most as many as are ever asked. */
  readonly #holders = new Map<Inputs, Holding<Inputs>[]>();
  /** Those that were of use most recently last. */
  readonly #holdings = new LinkedList<Holding<Inputs>>();

  /** The agent now has these inputs. */
  remember(agent: Agent, inputs: Inputs): void {
    const holders = this.#holders.get(inputs);
    const known = holders?.find((holding) => holding.agent === agent);
    if (known !== undefined) {
      known.description = agent.descriptions;
      this.#holdings.remove(known);
      this.#holdings.append(known);
      return;
    }
    const holding = { agent, inputs, description: agent.descriptions, previous: undefined, next: undefined };
    this.#holdings.append(holding);
    if (holders === undefined) this.#holders.set(inputs, [holding]);
    else holders.push(holding);
    const tooMany = this.#holdings.size > MAX_HOLDINGS ? this.#holdings.first : undefined;
    if (tooMany !== undefined) this.#drop(tooMany);
    const [oldest] = holders ?? [];
    if (oldest !== undefined && holders !== undefined && holders.length > MAX_LOCALITY_PROBES) this.#drop(oldest);
  }

  /** An agent that could take an execution of `group` now and has `inputs`. */
  available(group: Group, inputs: Inputs): Agent | undefined {
    for (const { agent, description } of this.#holders.get(inputs) ?? []) {
      if (description !== agent.descriptions) continue;
      if (canTake(agent, group) && matches(group.requirement, agent.offer)) return agent;
    }
    return undefined;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#holdings.size;
  }

  #drop(holding: Holding<Inputs>): void {
    this.#holdings.remove(holding);
    const holders = this.#holders.get(holding.inputs);
    if (holders === undefined) return;
    holders.splice(holders.indexOf(holding), 1);
    if (holders.length === 0) this.#holders.delete(holding.inputs);
  }
}
