import { hostname } from "node:os";
import { Command, Option } from "commander";
import type { Level } from "pino";
import { logLevelOption } from "./logger.ts";
import { endpointOption, parsePositiveInteger } from "./options.ts";

interface AgentFlags {
  readonly endpoint: URL;
  readonly instance: string;
  readonly name: string;
  readonly property: readonly string[];
  readonly properties?: string;
  readonly maxActions?: number;
  readonly workDir: string;
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
    .addOption(new Option("--instance <name>", "the instance to serve").default("main").env("REMEX_INSTANCE"))
    .addOption(new Option("--name <name>", "what people call this machine").default(hostname()).env("REMEX_NAME"))
    .addOption(
      new Option("--property <name=value>", "a platform property that this machine offers; may be repeated")
        .default([], "OSFamily, Arch, cpu_count and memory_kb as found")
        .argParser((flag: string, before: readonly string[]) => [...before, flag]),
    )
    .addOption(
      new Option("--properties <file>", "a JSON5 file of further properties: { name: value or [values] }").env(
        "REMEX_PROPERTIES_FILE",
      ),
    )
    .addOption(
      new Option(
        "--max-actions <n>",
        "how many actions may run at once; as many as cpu_count and the like allow by default",
      )
        .env("REMEX_MAX_ACTIONS")
        .argParser(parsePositiveInteger),
    )
    .addOption(
      new Option("--work-dir <dir>", "where inputs are cached and actions run")
        .default(".remex/agent")
        .env("REMEX_WORK_DIR"),
    )
    .addOption(logLevelOption("info"))
    .addHelpText(
      "after",
      `
The first Ctrl-C or SIGTERM hands back what runs; the second one ends it at once.

Example:
  $ remex agent --endpoint https://remex.example.com --property container-image=docker://gcc:14`,
    )
    .action(runAgentCommand);
}

async function runAgentCommand(flags: AgentFlags): Promise<void> {
  await Promise.reject(new Error(`not yet ${flags.name}`));
}
