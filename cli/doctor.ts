import { join } from "node:path";
import { Command, Option } from "commander";
import { pino } from "pino";
import type { Finding } from "../worker-agents/doctor/finding.ts";
import { DEFAULT_SANDBOX_PATHS, type SandboxMode } from "../worker-agents/sandbox.ts";
import { endpointOption } from "./options.ts";
import { optionsFileOption } from "./options-file.ts";
import { readTokenFile, tokenFileOption } from "./token-file.ts";

interface DoctorFlags {
  readonly endpoint: URL;
  readonly tokenFile?: string;
  readonly instance: string;
  readonly workDir: string;
  readonly sandbox: SandboxMode;
  readonly sandboxPath: readonly string[];
}

const MARKS = { well: "ok  ", doubtful: "look", broken: "BAD " } satisfies Record<Finding["state"], string>;

/** `remex doctor` */
export function doctorCommand(): Command {
  return new Command("doctor")
    .summary("say whether an agent can work on this machine, and if not, why")
    .description(
      "Looks at all that an agent needs, as remex agent with the same options would: the proxy, the endpoint, the token, the " +
        "clock, the work directory, the sandbox, a compiler. The exit code is 1 if an agent can't work here.",
    )
    .addOption(endpointOption())
    .addOption(tokenFileOption("the token that the agent is to have"))
    .addOption(new Option("--instance <name>", "the instance to serve").default("main").env("REMEX_INSTANCE"))
    .addOption(
      new Option("--work-dir <dir>", "where inputs are cached and actions run")
        .default(".remex/agent")
        .env("REMEX_WORK_DIR"),
    )
    .addOption(
      new Option("--sandbox <mode>", "as the agent is to have it")
        .choices(["auto", "bwrap", "none"])
        .default("auto")
        .env("REMEX_SANDBOX"),
    )
    .addOption(
      new Option("--sandbox-path <path...>", "what actions in a sandbox see of this machine")
        .default(DEFAULT_SANDBOX_PATHS)
        .env("REMEX_SANDBOX_PATH"),
    )
    .addOption(optionsFileOption())
    .addHelpText("after", `\nExample:\n  $ remex doctor --endpoint https://remex.example.com --token-file token`)
    .action(runDoctor);
}

async function runDoctor(flags: DoctorFlags): Promise<void> {
  const { endpoint, instance, sandbox, sandboxPath, workDir } = flags;
  const token = readTokenFile(flags.tokenFile);
  const [{ checkAccess, checkEndpoint, checkProxy }, machine] = await Promise.all([
    import("../worker-agents/doctor/check-endpoint.ts"),
    import("../worker-agents/doctor/check-machine.ts"),
  ]);
  // What the parts that are tried would log, the findings say.
  const logger = pino({ level: "silent" });
  const report = (findings: readonly Finding[]): boolean => {
    for (const { about, state, text } of findings) console.log(`${MARKS[state]}  ${about}: ${text}`);
    return findings.some(({ state }) => state === "broken");
  };
  let broken = report([await checkProxy(endpoint, process.env)]);
  // What lies behind a proxy that leads nowhere is not known.
  if (!broken) broken = report(await checkEndpoint(endpoint));
  if (!broken) broken = report([await checkAccess(endpoint, instance, token, logger)]);
  const work = await machine.checkWorkDirectory(workDir, logger);
  const workIsBroken = report(work);
  const scratch = join(workDir, "temporary", `${process.pid}-sandbox`);
  const others = [
    ...(workIsBroken ? [] : [await machine.checkSandbox(sandbox, sandboxPath, scratch, logger)]),
    await machine.checkControlGroups(),
    await machine.checkToolchain(process.env["PATH"]),
  ];
  if (report(others) || broken || workIsBroken) process.exitCode = 1;
}
