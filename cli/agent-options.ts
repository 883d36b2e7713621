import { hostname } from "node:os";
import { Option } from "commander";
import { DEFAULT_SANDBOX_PATHS } from "../worker-agents/sandbox.ts";
import { logLevelOption } from "./logger.ts";
import { endpointOption, parsePositiveInteger, parseWholeNumberFrom } from "./options.ts";
import { optionsFileOption } from "./options-file.ts";
import { tokenFileOption } from "./token-file.ts";

/** All that an agent can be told, each time anew: a commander command changes those that it is given. */
export function agentOptions(): Option[] {
  return [
    endpointOption(),
    tokenFileOption(),
    new Option("--instance <name>", "the instance to serve").default("main").env("REMEX_INSTANCE"),
    new Option("--name <name>", "what people call this machine").default(hostname()).env("REMEX_NAME"),
    new Option("--property <name=value...>", "platform properties that this machine offers, beside those it finds")
      .default([], "OSFamily, Arch, cpu_count and memory_kb as found")
      .env("REMEX_PROPERTY"),
    new Option("--properties <file>", "a JSON5 file of such properties: { name: value, other: [values] }").env(
      "REMEX_PROPERTIES",
    ),
    new Option(
      "--max-actions <n>",
      "how many actions may run at once; one for each CPU by default, 0 for as many as the minimum properties allow",
    )
      .env("REMEX_MAX_ACTIONS")
      .argParser(parseWholeNumberFrom(0)),
    new Option(
      "--max-persistent-workers <n>",
      "how many tools that stay between actions may be kept; one for each CPU by default, 0 for none",
    )
      .env("REMEX_MAX_PERSISTENT_WORKERS")
      .argParser(parseWholeNumberFrom(0)),
    new Option("--work-dir <dir>", "where inputs are cached and actions run")
      .default(".remex/agent")
      .env("REMEX_WORK_DIR"),
    new Option("--cache-max-bytes <n>", "how much of the disk cached inputs may take; 10 GiB by default")
      .env("REMEX_CACHE_MAX_BYTES")
      .argParser(parsePositiveInteger),
    new Option("--sandbox <mode>", "bwrap: actions see only their inputs and --sandbox-path; auto: where that works")
      .choices(["auto", "bwrap", "none"])
      .default("auto")
      .env("REMEX_SANDBOX"),
    new Option("--sandbox-path <path...>", "what actions in a sandbox see of this machine, read-only")
      .default(DEFAULT_SANDBOX_PATHS)
      .env("REMEX_SANDBOX_PATH"),
    new Option(
      "--control-groups <mode>",
      "auto: bound each action's memory and CPUs by what it asks for, where possible",
    )
      .choices(["auto", "none"])
      .default("auto")
      .env("REMEX_CONTROL_GROUPS"),
    new Option("--entrypoint <program>", "a program that is given each command to run, as further arguments").env(
      "REMEX_ENTRYPOINT",
    ),
    new Option("--additional-environment <name=value...>", "what commands find in their environment, unless declared")
      .default([], "nothing")
      .env("REMEX_ADDITIONAL_ENVIRONMENT"),
    new Option("--drain-timeout <seconds>", "how long running actions may go on when the agent is asked to end")
      .default(60)
      .env("REMEX_DRAIN_TIMEOUT")
      .argParser(parsePositiveInteger),
    optionsFileOption(),
    logLevelOption("info"),
  ];
}
