import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLeftover, type WorkDirectory } from "./work-directory.ts";

/** What Hello.replaced_agent_ids may hold. */
const MAX_REPLACED = 256;

/**
 * By which id the object knows this agent, and by which it knew those on the same work directory that were killed: each
 * leaves its id there in a file, and takes it away when it has nothing to be asked for any more. So what a killed agent
 * held need not wait until the object finds out by its silence.
 */
export class AgentIdentity {
  readonly agentId = randomUUID();
  readonly replacedAgentIds: readonly string[];
  readonly #directory: string;
  readonly #left: readonly string[];

  private constructor(directory: string, left: readonly string[]) {
    this.#directory = directory;
    this.#left = left;
    this.replacedAgentIds = left.slice(0, MAX_REPLACED).map((name) => name.slice(name.indexOf("-") + 1));
  }

  static async open({ agents }: WorkDirectory): Promise<AgentIdentity> {
    await mkdir(agents, { recursive: true });
    const identity = new AgentIdentity(agents, (await readdir(agents)).filter(isLeftover));
    await writeFile(identity.#path, "");
    return identity;
  }

  /** The object knows which agents are replaced. */
  async told(): Promise<void> {
    for (const name of this.#left) await rm(join(this.#directory, name), { force: true });
  }

  /** The agent ends with nothing that the object could wait for. */
  async close(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  get #path(): string {
    return join(this.#directory, `${process.pid}-${this.agentId}`);
  }
}
