import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RemexProcess } from "./remex-process.ts";
import { configText } from "./service.ts";

/** The parts of the service as processes of their own, each of which a test may kill and start again. */
export class SeparateProcesses {
  readonly #directory: string;
  readonly #running = new Set<RemexProcess>();
  /** Kept by a Worker that is started again, since the others know it by that. */
  #workerPort = "0";

  /** @param directory an existing one, for all that the processes write */
  constructor(directory: string) {
    this.#directory = directory;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#workerPort}`;
  }

  async startWorker(scheduler: Readonly<Record<string, unknown>> = {}): Promise<RemexProcess> {
    const config = join(this.#directory, "remex.json5");
    await writeFile(config, configText(scheduler));
    const data = ["--data", join(this.#directory, "data"), "--config", config];
    const worker = this.#start(["start", "--no-agent", "--no-bridge", ...data, "--worker-port", this.#workerPort]);
    this.#workerPort = await worker.printed(/^Worker +ready at http:\/\/[^/]+:(\d+)/m);
    return worker;
  }

  /** @param flags beside those by which it is a part of this service */
  async startAgent(name: string, flags: readonly string[] = []): Promise<RemexProcess> {
    const workDirectory = join(this.#directory, name);
    const where = ["--endpoint", this.endpoint, "--work-dir", workDirectory];
    // The tests' actions wait for gates that are none of their inputs.
    const agent = this.#start(["agent", "--name", name, "--sandbox", "none", ...where, ...flags]);
    await agent.printed(/^Agent +ready/m);
    return agent;
  }

  /** Returns where clients reach it, as `host:port`. */
  async startBridge(): Promise<string> {
    const bridge = this.#start(["bridge", "--endpoint", this.endpoint, "--listen", "0"]);
    return bridge.printed(/^Bridge +ready at grpc:\/\/([^,\s]+)/m);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running].map((process) => process.kill()));
  }

  #start(args: readonly string[]): RemexProcess {
    const process = new RemexProcess(args);
    this.#running.add(process);
    return process;
  }
}
