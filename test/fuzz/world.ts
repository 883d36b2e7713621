import { createHash } from "node:crypto";
import { startWorker, type TestWorker } from "../worker.ts";
import { Bystander } from "./bystander.ts";
import { residentBytes, workerdPids } from "./memory.ts";
import { sendRaw } from "./raw-request.ts";
import { Violation } from "./violation.ts";

/** The instance that is attacked, and what the attacker may do there: more than most may, so as to get further. */
export const INSTANCE = "main";
const ATTACKER_ROLES = ["cache-writer", "executor", "operator", "agent"];

const BYSTANDERS_INSTANCE = "other/tenant";

/** Beyond what workerd takes by itself, a bound on all that attacks leave in it at any time. */
const MAX_RESIDENT_BYTES = 1 << 30;

/** What workerd writes down for its makers, and of clients that are gone. */
const WORKERDS_OWN = /^NOSENTRY|^kj::.* disconnected: /;

/** An endpoint that is attacked, with what tells whether it bears it. */
export class World {
  static async start(): Promise<World> {
    const others = new Set(await workerdPids());
    const lines: string[] = [];
    const tokens = { attacker: crypto.randomUUID(), bystander: crypto.randomUUID() };
    const worker = await startWorker({ config: configuration(tokens), onLog: (line) => lines.push(line) });
    const pids = (await workerdPids()).filter((pid) => !others.has(pid));
    return new World(worker, tokens, pids, lines);
  }

  readonly url: string;
  readonly token: string;
  readonly worker: TestWorker;
  readonly #bystander: Bystander;
  readonly #pids: readonly number[];
  readonly #lines: string[];

  private constructor(
    worker: TestWorker,
    tokens: { readonly attacker: string; readonly bystander: string },
    pids: readonly number[],
    lines: string[],
  ) {
    this.url = worker.url;
    this.token = tokens.attacker;
    this.worker = worker;
    this.#bystander = new Bystander(worker.url, BYSTANDERS_INSTANCE, tokens.bystander);
    this.#pids = pids;
    this.#lines = lines;
  }

  /** Does something, and looks whether all goes on as if nothing had happened: during it and after it. */
  async bears<T>(attack: () => Promise<T>): Promise<T> {
    this.#bystander.start();
    let result: T;
    try {
      result = await attack();
    } finally {
      await this.#bystander.stop();
    }
    const { httpStatus } = await sendRaw(this.url, { method: "GET", path: "/healthz", headers: {} });
    if (httpStatus !== 200) throw new Violation(`/healthz answers ${httpStatus}`);
    await this.#checkMemory();
    this.#checkLog();
    return result;
  }

  /** Waits until the other tenant has done what it does some times more. */
  afterMoreRounds(count: number): Promise<void> {
    return this.#bystander.afterMoreRounds(count);
  }

  async #checkMemory(): Promise<void> {
    for (const pid of this.#pids) {
      const bytes = await residentBytes(pid);
      if (bytes === undefined) throw new Violation("workerd died");
      if (bytes > MAX_RESIDENT_BYTES) throw new Violation(`workerd has ${bytes} bytes in memory`);
    }
  }

  /** What others do wrong is no fault of ours: nothing of it may look like one in the log. */
  #checkLog(): void {
    const lines = this.#lines.splice(0).filter((line) => !WORKERDS_OWN.test(line));
    const fault = lines.find((line) => !line.startsWith("{") || line.includes('"level":"error"'));
    if (fault !== undefined) throw new Violation(`the log has: ${fault.slice(0, 2000)}`);
  }

  stop(): Promise<void> {
    return this.worker.dispose();
  }
}

function configuration(tokens: { readonly attacker: string; readonly bystander: string }): string {
  const sha256 = (token: string) => createHash("sha256").update(token).digest("hex");
  const scheduler = {
    no_worker_timeout_s: 0.1,
    client_action_timeout_s: 1,
    worker_timeout_s: 5,
    failure_memory_s: 0.1,
  };
  return JSON.stringify({
    stores: { MAIN_STORE: {} },
    schedulers: { MAIN_SCHEDULER: scheduler },
    services: {
      execution: [INSTANCE, BYSTANDERS_INSTANCE].map((name) => ({
        instance_name: name,
        scheduler: "MAIN_SCHEDULER",
        cas_store: "MAIN_STORE",
        digest_functions: ["sha256", "blake3", "sha1"],
      })),
    },
    access: {
      tokens: [
        { name: "attacker", sha256: sha256(tokens.attacker), roles: { [INSTANCE]: ATTACKER_ROLES } },
        { name: "bystander", sha256: sha256(tokens.bystander), roles: { [BYSTANDERS_INSTANCE]: ["cache-writer"] } },
      ],
    },
  });
}
