import { hostname } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import type { Level, Logger } from "pino";
import { grantsAnything } from "../src/config/config.ts";
import type { AccessConfig } from "../src/config/schema.ts";
import { readConfigFile } from "./config-file.ts";
import { errorCode, Fault } from "./fault.ts";
import { clientAddress, explainListenFault } from "./listening.ts";
import type { LocalWorker } from "./local-worker.ts";
import { createLogger, logLevelOption } from "./logger.ts";
import { portOption } from "./options.ts";
import { optionsFileOption } from "./options-file.ts";
import { packageDirectory } from "./package-directory.ts";
import { runAgent } from "./run-agent.ts";
import { RunningParts } from "./running-parts.ts";
import { aborted } from "../worker-agents/aborted.ts";
import { terminationSignal } from "./termination.ts";
import { renewedToken, tokenFileOption } from "./token-file.ts";
import { openTracing } from "./tracing.ts";
import { collectBuffersEarly } from "./early-collection.ts";

/** How long calls through the bridge, and the agent's last results, may still take when everything stops. */
const GRACE_MS = 500;

interface StartFlags {
  readonly data: string;
  readonly config: string;
  readonly instance?: string;
  readonly tokenFile?: string;
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
    .addOption(tokenFileOption())
    .addOption(new Option("--host <address>", "the address to listen on").default("127.0.0.1").env("REMEX_HOST"))
    .addOption(portOption("--worker-port", "the Worker's port", 8787, "REMEX_WORKER_PORT"))
    .addOption(portOption("--bridge-port", "the bridge's port", 50_051, "REMEX_BRIDGE_PORT"))
    .addOption(new Option("--no-agent", "run no agent: start some with remex agent").env("REMEX_NO_AGENT"))
    .addOption(new Option("--no-bridge", "run no bridge: start one with remex bridge").env("REMEX_NO_BRIDGE"))
    .addOption(optionsFileOption())
    .addOption(logLevelOption("warn"))
    .addHelpText(
      "after",
      `
Its agent runs actions without a sandbox: they see what you see (remex agent has --sandbox).

It prints the line to build with. Ctrl-C stops everything; what is stored stays.

Examples:
  $ remex start
  $ remex start --data /var/lib/remex --host 0.0.0.0    (whoever reaches the ports can run commands here)
  $ remex start --no-agent --no-bridge                  (the Worker alone)`,
    )
    .action(runStart);
}

/** What the parts of one run share. */
interface Run {
  readonly flags: StartFlags;
  readonly config: ConfiguredInstance;
  /** The data directory, absolute. */
  readonly directory: string;
  readonly logger: Logger;
  readonly parts: RunningParts;
  /** Aborts when everything is to stop. */
  readonly terminated: AbortSignal;
}

async function runStart(flags: StartFlags): Promise<void> {
  const terminated = terminationSignal();
  const logger = createLogger(flags.logLevel);
  const config = configuredInstance(flags);
  // Imported late: Node.js 22 warns of node:sqlite, and the other commands have no use for it.
  const { claimDataDirectory } = await import("./data-directory.ts");
  const data = claimDataDirectory(flags.data);
  const parts = new RunningParts(logger);
  const run: Run = { flags, config, directory: data.path, logger, parts, terminated };
  try {
    const worker = await startWorker(run);
    const endpoint = new URL(worker.url);
    if (flags.agent && !terminated.aborted) await startAgent(run, endpoint);
    const bridgeAddress = flags.bridge && !terminated.aborted ? await startBridge(run, endpoint) : undefined;
    if (!terminated.aborted) {
      sayWhoMayCall(flags.host, config.access);
      if (bridgeAddress !== undefined) sayHowToBuild(bridgeAddress, config.instanceName);
      console.log("Stop with Ctrl-C.");
    }
    await Promise.race([aborted(terminated), parts.failure]);
  } finally {
    await parts.stop();
    data.release();
  }
}

interface ConfiguredInstance {
  readonly configText: string;
  readonly instanceName: string;
  readonly access: AccessConfig;
}

/** @throws Fault if the configuration can't be read or isn't valid, or has no such instance. */
function configuredInstance({ config: path, instance }: StartFlags): ConfiguredInstance {
  const { text: configText, config } = readConfigFile(path);
  const names = [...config.instances.keys()];
  const instanceName = instance ?? names[0] ?? "";
  if (names.includes(instanceName)) return { configText, instanceName, access: config.access };
  throw new Fault(`${path} has no instance "${instanceName}"; it has: ${names.join(", ")}`);
}

async function startWorker({ flags, config, directory, logger, parts, terminated }: Run): Promise<LocalWorker> {
  const { startLocalWorker } = await importLocalWorker();
  const worker = await startLocalWorker({
    script: join(packageDirectory(), "dist", "worker.js"),
    dataDirectory: directory,
    host: flags.host,
    port: flags.workerPort,
    config: config.configText,
    logger: logger.child({ part: "worker" }),
    stopping: terminated,
    onLost: (error) => {
      parts.fail(new Fault(`the Worker died and could not be started again: ${error.message}`));
    },
  });
  parts.add(() => worker.stop());
  console.log(`Worker  ready at ${worker.url}, data in ${directory}`);
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

/** Waits until it is ready, or until everything is to stop. */
async function startAgent({ flags, config, directory, logger, parts, terminated }: Run, endpoint: URL): Promise<void> {
  const stop = new AbortController();
  const ready = Promise.withResolvers<undefined>();
  const agentLogger = logger.child({ part: "agent" });
  const ended = runAgent(
    {
      endpoint,
      token: renewedToken(flags.tokenFile, agentLogger),
      instanceName: config.instanceName,
      name: hostname(),
      workDirectory: join(directory, "agent"),
      logger: agentLogger,
      drainTimeoutMs: 0,
      limits: { acknowledgementTimeoutMs: GRACE_MS },
      onReady: () => {
        ready.resolve(undefined);
      },
    },
    stop.signal,
  ).catch((error: unknown) => {
    parts.fail(error);
  });
  parts.add(() => {
    stop.abort();
    return ended;
  });
  await Promise.race([ready.promise, parts.failure, aborted(terminated)]);
}

/** Returns its address as clients on this machine write it. */
async function startBridge({ flags, logger, parts }: Run, endpoint: URL): Promise<string> {
  const tracing = await openTracing("remex-bridge");
  if (tracing !== undefined) parts.add(tracing.close);
  collectBuffersEarly();
  const { startBridge } = await import("../bridge/server.ts");
  const { host, bridgePort: port } = flags;
  const bridge = await explainListenFault("--bridge-port", () =>
    startBridge({
      listen: { host, port },
      endpoint,
      logger: logger.child({ part: "bridge" }),
      tracer: tracing?.tracer,
      limits: { shutdownGraceMs: GRACE_MS },
    }),
  );
  parts.add(() => bridge.close());
  const address = clientAddress(host, bridge.port);
  console.log(`Bridge  ready at grpc://${address}`);
  return address;
}

function sayWhoMayCall(host: string, access: AccessConfig): void {
  const local = ["127.0.0.1", "::1", "localhost"].includes(host);
  const reach = local ? "only programs on this machine reach it" : "every machine that reaches this one reaches it";
  const rule = grantsAnything(access)
    ? "Who may do what is as the configuration says"
    : "Access is anonymous: whoever reaches it can run commands here, and is asked for no token";
  console.log(`${rule}. It listens on ${host}: ${reach}.`);
}

function sayHowToBuild(bridgeAddress: string, instanceName: string): void {
  const instanceFlag = instanceName === "" ? "" : ` --remote_instance_name=${instanceName}`;
  console.log(`\nBuild with:\n  bazel build --remote_executor=grpc://${bridgeAddress}${instanceFlag} //...\n`);
}
