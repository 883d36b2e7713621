import { hostname } from "node:os";
import { Command, Option } from "commander";
import type { Level } from "pino";
import type { PlatformProperty } from "../worker-agents/platform-properties.ts";
import { DEFAULT_SANDBOX_PATHS, type SandboxMode } from "../worker-agents/sandbox.ts";
import { errorMessage, Fault } from "./fault.ts";
import { createLogger, logLevelOption } from "./logger.ts";
import { endpointOption, parsePositiveInteger, parseWholeNumberFrom } from "./options.ts";
import { optionsFileOption } from "./options-file.ts";
import { runAgent } from "./run-agent.ts";
import { endAtOnce, terminationSignal } from "./termination.ts";
import { renewedToken, tokenFileOption } from "./token-file.ts";

interface AgentFlags {
  readonly endpoint: URL;
  readonly tokenFile?: string;
  readonly instance: string;
  readonly name: string;
  readonly property: readonly string[];
  readonly properties?: string;
  readonly maxActions?: number;
  readonly maxPersistentWorkers?: number;
  readonly workDir: string;
  readonly cacheMaxBytes?: number;
  readonly sandbox: SandboxMode;
  readonly sandboxPath: readonly string[];
  readonly controlGroups: "auto" | "none";
  readonly entrypoint?: string;
  readonly additionalEnvironment: readonly string[];
  readonly drainTimeout: number;
  readonly logLevel: Level;
}

/** `remex agent` */
export function agentCommand(): Command {
  return new Command("agent")
    .summary("make this machine a build machine of an instance")
    .description(
      "Makes this machine a build machine: it connects to the Worker (outbound only, so it may be behind any NAT), and " +
        "runs the actions that it is given, as the user that starts it. Run it only for people whom you let run commands.",
    )
    .addOption(endpointOption())
    .addOption(tokenFileOption())
    .addOption(new Option("--instance <name>", "the instance to serve").default("main").env("REMEX_INSTANCE"))
    .addOption(new Option("--name <name>", "what people call this machine").default(hostname()).env("REMEX_NAME"))
    .addOption(
      new Option("--property <name=value...>", "platform properties that this machine offers, beside those it finds")
        .default([], "OSFamily, Arch, cpu_count and memory_kb as found")
        .env("REMEX_PROPERTY"),
    )
    .addOption(
      new Option("--properties <file>", "a JSON5 file of such properties: { name: value, other: [values] }").env(
        "REMEX_PROPERTIES",
      ),
    )
    .addOption(
      new Option(
        "--max-actions <n>",
        "how many actions may run at once; one for each CPU by default, 0 for as many as the minimum properties allow",
      )
        .env("REMEX_MAX_ACTIONS")
        .argParser(parseWholeNumberFrom(0)),
    )
    .addOption(
      new Option(
        "--max-persistent-workers <n>",
        "how many tools that stay between actions may be kept; one for each CPU by default, 0 for none",
      )
        .env("REMEX_MAX_PERSISTENT_WORKERS")
        .argParser(parseWholeNumberFrom(0)),
    )
    .addOption(
      new Option("--work-dir <dir>", "where inputs are cached and actions run")
        .default(".remex/agent")
        .env("REMEX_WORK_DIR"),
    )
    .addOption(
      new Option("--cache-max-bytes <n>", "how much of the disk cached inputs may take; 10 GiB by default")
        .env("REMEX_CACHE_MAX_BYTES")
        .argParser(parsePositiveInteger),
    )
    .addOption(
      new Option("--sandbox <mode>", "bwrap: actions see only their inputs and --sandbox-path; auto: where that works")
        .choices(["auto", "bwrap", "none"])
        .default("auto")
        .env("REMEX_SANDBOX"),
    )
    .addOption(
      new Option("--sandbox-path <path...>", "what actions in a sandbox see of this machine, read-only")
        .default(DEFAULT_SANDBOX_PATHS)
        .env("REMEX_SANDBOX_PATH"),
    )
    .addOption(
      new Option(
        "--control-groups <mode>",
        "auto: bound each action's memory and CPUs by what it asks for, where possible",
      )
        .choices(["auto", "none"])
        .default("auto")
        .env("REMEX_CONTROL_GROUPS"),
    )
    .addOption(
      new Option("--entrypoint <program>", "a program that is given each command to run, as further arguments").env(
        "REMEX_ENTRYPOINT",
      ),
    )
    .addOption(
      new Option("--additional-environment <name=value...>", "what commands find in their environment, unless declared")
        .default([], "nothing")
        .env("REMEX_ADDITIONAL_ENVIRONMENT"),
    )
    .addOption(
      new Option("--drain-timeout <seconds>", "how long running actions may go on when the agent is asked to end")
        .default(60)
        .env("REMEX_DRAIN_TIMEOUT")
        .argParser(parsePositiveInteger),
    )
    .addOption(optionsFileOption())
    .addOption(logLevelOption("info"))
    .addHelpText(
      "after",
      `
In a sandbox an action has its inputs, the paths of --sandbox-path, a /tmp of its own and no network. It has the
network if it asks for the platform property network=allow and this machine offers that by --property.

At the first Ctrl-C or SIGTERM it takes no new action and lets the running ones end, or hands them back when the drain
timeout is over. The second one kills them, and others get them at once. The third one ends it as it is.

Example:
  $ remex agent --endpoint https://remex.example.com --property pool=linux-gcc14 --max-actions 16`,
    )
    .action(runAgentCommand);
}

async function runAgentCommand(flags: AgentFlags): Promise<void> {
  const killed = new AbortController();
  // The second request to end kills what runs, and the object still hears that this agent is gone; the third kills.
  const terminated = terminationSignal(() => {
    if (killed.signal.aborted) endAtOnce();
    process.exitCode = 1;
    killed.abort();
  });
  const logger = createLogger(flags.logLevel);
  await runAgent(
    {
      endpoint: flags.endpoint,
      token: renewedToken(flags.tokenFile, logger),
      instanceName: flags.instance,
      name: flags.name,
      properties: await givenProperties(flags),
      workDirectory: flags.workDir,
      ...(flags.cacheMaxBytes !== undefined && { cacheMaxBytes: flags.cacheMaxBytes }),
      ...(flags.maxActions !== undefined && { maxActions: flags.maxActions }),
      ...(flags.maxPersistentWorkers !== undefined && { maxPersistentWorkers: flags.maxPersistentWorkers }),
      sandbox: flags.sandbox,
      sandboxPaths: flags.sandboxPath,
      controlGroups: flags.controlGroups,
      ...(flags.entrypoint !== undefined && { entrypoint: flags.entrypoint }),
      additionalEnvironment: Object.fromEntries(
        (await parseProperties(flags.additionalEnvironment)).map(({ name, value }) => [name, value]),
      ),
      drainTimeoutMs: flags.drainTimeout * 1000,
      killSignal: killed.signal,
      logger,
    },
    terminated,
  );
}

/** @throws Fault if a property is malformed or their file can't be read. */
async function givenProperties({ property: flags, properties: file }: AgentFlags): Promise<PlatformProperty[]> {
  const { PropertyError, readPropertiesFile } = await import("../worker-agents/platform-properties.ts");
  try {
    const fromFile = file === undefined ? [] : await readPropertiesFile(file);
    return [...fromFile, ...(await parseProperties(flags))];
  } catch (error) {
    throw error instanceof PropertyError ? new Fault(errorMessage(error)) : error;
  }
}

/** @throws Fault if one is not name=value. */
async function parseProperties(flags: readonly string[]): Promise<PlatformProperty[]> {
  const { parseProperty, PropertyError } = await import("../worker-agents/platform-properties.ts");
  try {
    return flags.map(parseProperty);
  } catch (error) {
    throw error instanceof PropertyError ? new Fault(errorMessage(error)) : error;
  }
}
