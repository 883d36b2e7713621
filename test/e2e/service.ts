import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RemexProcess } from "./remex-process.ts";
import { makeTemporaryDirectory, removeDirectory } from "./temporary-directory.ts";

/** What differs between tests in the configuration of the service. */
export interface ServiceOptions {
  /** Keys of the scheduler, on top of the defaults. */
  readonly scheduler?: Readonly<Record<string, unknown>>;
  /** The one instance; `main` by default. */
  readonly instanceName?: string;
  /** More arguments of `remex start`. */
  readonly args?: readonly string[];
}

/** The whole service, started by `remex start` on free ports and a temporary directory. */
export class Service {
  readonly directory: string;
  readonly process: RemexProcess;
  /** `http://host:port` of the Worker. */
  readonly workerUrl: string;
  /** `host:port` of the bridge. */
  readonly bridgeAddress: string;

  private constructor(directory: string, process: RemexProcess, workerUrl: string, bridgeAddress: string) {
    this.directory = directory;
    this.process = process;
    this.workerUrl = workerUrl;
    this.bridgeAddress = bridgeAddress;
  }

  static async start(options: ServiceOptions = {}): Promise<Service> {
    const directory = await makeTemporaryDirectory();
    const config = join(directory, "remex.json5");
    await writeFile(config, configText(options.scheduler, options.instanceName));
    const data = join(directory, "data");
    const ports = ["--worker-port", "0", "--bridge-port", "0"];
    const process = new RemexProcess(["start", "--data", data, "--config", config, ...ports, ...(options.args ?? [])]);
    try {
      const workerUrl = await process.printed(/^Worker +ready at (\S+?),/m);
      const bridgeAddress = await process.printed(/^Bridge +ready at grpc:\/\/(\S+)/m);
      await process.printed(/^Stop with Ctrl-C/m);
      return new Service(directory, process, workerUrl, bridgeAddress);
    } catch (error) {
      await process.kill();
      await removeDirectory(directory);
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.process.kill();
    await removeDirectory(this.directory);
  }
}

/** The configuration of one instance, as JSON, which is JSON5 too. */
export function configText(scheduler: Readonly<Record<string, unknown>> = {}, instanceName = "main"): string {
  return JSON.stringify({
    stores: { STORE: {} },
    schedulers: {
      SCHEDULER: {
        supported_platform_properties: { OSFamily: "exact", cpu_count: "minimum", pool: "exact" },
        ...scheduler,
      },
    },
    services: { execution: [{ instance_name: instanceName, scheduler: "SCHEDULER", cas_store: "STORE" }] },
  });
}
