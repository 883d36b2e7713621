import { join } from "node:path";
import { Command, Option } from "commander";
import type { Level, Logger } from "pino";
import { readConfigFile } from "./config-file.ts";
import { claimDataDirectory } from "./data-directory.ts";
import { errorCode, Fault } from "./fault.ts";
import { clientAddress, explainListenFault } from "./listening.ts";
import type { LocalWorker } from "./local-worker.ts";
import { createLogger, logLevelOption } from "./logger.ts";
import { portOption } from "./options.ts";
import { packageDirectory } from "./package-directory.ts";
import { RunningParts } from "./running-parts.ts";
import { aborted, terminationSignal } from "./termination.ts";

/** How long calls through the bridge may still take when everything stops. */
const BRIDGE_GRACE_MS = 500;

interface StartFlags {
  readonly data: string;
  readonly config: string;
  readonly instance?: string;
  readonly host: string;
  readonly workerPort: number;
  readonly bridgePort: number;
  readonly agent: boolean;
  readonly bridge: boolean;
  readonly logLevel: Level;
}

/** `remex start` */
export function startCommand(): Command {
  return new Command("start")
    .summary("run the whole service on this machine: Worker, storage, one agent and the bridge")
    .description(
      "Runs the whole service on this machine: the Worker in workerd with its objects and its storage on disk, one " +
        "agent that runs actions here, and the bridge that Bazel talks to.",
    )
    .addOption(new Option("--data <dir>", "where everything is kept").default(".remex").env("REMEX_DATA"))
    .addOption(
      new Option("--config <file>", "the configuration of the service")
        .default(join(packageDirectory(), "remex.json5"), "this package's remex.json5")
        .env("REMEX_CONFIG_FILE"),
    )
    .addOption(
      new Option("--instance <name>", "the instance that the agent serves; the first configured one by default").env(
        "REMEX_INSTANCE",
      ),
    )
    .addOption(new Option("--host <address>", "the address to listen on").default("127.0.0.1").env("REMEX_HOST"))
    .addOption(portOption("--worker-port", "the Worker's port", 8787, "REMEX_WORKER_PORT"))
    .addOption(portOption("--bridge-port", "the bridge's port", 50_051, "REMEX_BRIDGE_PORT"))
    .addOption(new Option("--no-agent", "run no agent: start some with remex agent"))
    .addOption(new Option("--no-bridge", "run no bridge: start one with remex bridge"))
    .addOption(logLevelOption("warn"))
    .addHelpText(
      "after",
      `
It prints the line to build with. Ctrl-C stops everything; what is stored stays.

Examples:
  $ remex start
  $ remex start --data /var/lib/remex --host 0.0.0.0    (whoever reaches the ports can run commands here)
  $ remex start --no-agent --no-bridge                  (the Worker alone)`,
    )
    .action(runStart);
}

async function runStart(flags: StartFlags): Promise<void> {
  const terminated = terminationSignal();
  const logger = createLogger(flags.logLevel);
  const { configText, instanceName } = configuredInstance(flags);
  const data = claimDataDirectory(flags.data);
  const running = new RunningParts(logger);
  try {
    const worker = await startWorker(flags, configText, data.path, terminated, logger, running);
    const bridgeAddress = flags.bridge ? await startBridge(flags, worker, logger, running) : undefined;
    sayWhoMayCall(flags.host);
    if (bridgeAddress !== undefined) sayHowToBuild(bridgeAddress, instanceName);
    console.log("Stop with Ctrl-C.");
    await Promise.race([aborted(terminated), running.failure]);
  } finally {
    await running.stop();
    data.release();
  }
}

/** @throws Fault if the configuration can't be read or isn't valid, or has no such instance. */
function configuredInstance({ config: path, instance }: StartFlags): { configText: string; instanceName: string } {
  const { text: configText, config } = readConfigFile(path);
  const names = [...config.instances.keys()];
  const instanceName = instance ?? names[0] ?? "";
  if (names.includes(instanceName)) return { configText, instanceName };
  throw new Fault(`${path} has no instance "${instanceName}"; it has: ${names.join(", ")}`);
}

async function startWorker(
  flags: StartFlags,
  config: string,
  dataDirectory: string,
  stopping: AbortSignal,
  logger: Logger,
  running: RunningParts,
): Promise<LocalWorker> {
  const { startLocalWorker } = await importLocalWorker();
  const worker = await startLocalWorker({
    script: join(packageDirectory(), "dist", "worker.js"),
    dataDirectory,
    host: flags.host,
    port: flags.workerPort,
    config,
    logger: logger.child({ part: "worker" }),
    stopping,
    onLost: (error) => {
      running.fail(new Fault(`the Worker died and could not be started again: ${error.message}`));
    },
  });
  running.add(() => worker.stop());
  console.log(`Worker  ready at ${worker.url}, data in ${dataDirectory}`);
  return worker;
}

/** Miniflare is a development dependency: a build machine needs neither it nor workerd. */
async function importLocalWorker(): Promise<typeof import("./local-worker.ts")> {
  try {
    return await import("./local-worker.ts");
  } catch (error) {
    if (errorCode(error) !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Fault("remex start needs the development dependencies; install them with: npm ci --include=dev");
  }
}

/** Returns its address as clients on this machine write it. */
async function startBridge(
  { host, bridgePort: port }: StartFlags,
  worker: LocalWorker,
  logger: Logger,
  running: RunningParts,
): Promise<string> {
  const { startBridge } = await import("../bridge/server.ts");
  const bridge = await explainListenFault("--bridge-port", () =>
    startBridge({
      listen: { host, port },
      endpoint: new URL(worker.url),
      logger: logger.child({ part: "bridge" }),
      limits: { shutdownGraceMs: BRIDGE_GRACE_MS },
    }),
  );
  running.add(() => bridge.close());
  const address = clientAddress(host, bridge.port);
  console.log(`Bridge  ready at grpc://${address}`);
  return address;
}

function sayWhoMayCall(host: string): void {
  const reach = ["127.0.0.1", "::1", "localhost"].includes(host)
    ? "only programs on this machine reach it"
    : "whoever reaches this machine can run commands on it";
  console.log(`Access is anonymous: nobody is asked for a token; it listens on ${host}, so ${reach}.`);
}

function sayHowToBuild(bridgeAddress: string, instanceName: string): void {
  const instanceFlag = instanceName === "" ? "" : ` --remote_instance_name=${instanceName}`;
  console.log(`\nBuild with:\n  bazel build --remote_executor=grpc://${bridgeAddress}${instanceFlag} //...\n`);
}
