import { Command } from "commander";
import type { Level } from "pino";
import type { PlatformProperty } from "../worker-agents/platform-properties.ts";
import type { SandboxMode } from "../worker-agents/sandbox.ts";
import { agentOptions } from "./agent-options.ts";
import { errorMessage, Fault } from "./fault.ts";
import { createLogger } from "./logger.ts";
import { rootWarning } from "./root-warning.ts";
import { runAgent } from "./run-agent.ts";
import { endAtOnce, terminationSignal } from "./termination.ts";
import { renewedToken, secretPaths } from "./token-file.ts";

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
  const command = new Command("agent")
    .summary("make this machine a build machine of an instance")
    .description(
      "Makes this machine a build machine: it connects to the Worker (outbound only, so it may be behind any NAT), and " +
        "runs the actions that it is given, as the user that starts it. Run it only for people whom you let run commands.",
    )
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
  for (const option of agentOptions()) command.addOption(option);
  return command;
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
      secretPaths: secretPaths(flags.tokenFile),
      controlGroups: flags.controlGroups,
      ...(flags.entrypoint !== undefined && { entrypoint: flags.entrypoint }),
      additionalEnvironment: Object.fromEntries(
        (await parseProperties(flags.additionalEnvironment)).map(({ name, value }) => [name, value]),
      ),
      drainTimeoutMs: flags.drainTimeout * 1000,
      killSignal: killed.signal,
      logger,
      onReady: () => {
        const warning = rootWarning(process.getuid?.());
        if (warning !== undefined) logger.warn(warning);
      },
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
