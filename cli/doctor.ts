import { join } from "node:path";
import { Command } from "commander";
import { pino } from "pino";
import type { Finding } from "../worker-agents/doctor/finding.ts";
import type { SandboxMode } from "../worker-agents/sandbox.ts";
import { agentOptions } from "./agent-options.ts";
import { readTokenFile, secretPaths } from "./token-file.ts";

interface DoctorFlags {
  readonly endpoint: URL;
  readonly tokenFile?: string;
  readonly instance: string;
  readonly workDir: string;
  readonly sandbox: SandboxMode;
  readonly sandboxPath: readonly string[];
  readonly controlGroups: "auto" | "none";
}

/** What it looks at is as these options say. The agent's others are taken, so that its flags and its file can be given. */
const LOOKED_AT: ReadonlySet<string> = new Set([
  "endpoint",
  "token-file",
  "instance",
  "work-dir",
  "sandbox",
  "sandbox-path",
  "control-groups",
  "options-file",
]);

const MARKS = { well: "ok  ", doubtful: "look", broken: "BAD " } satisfies Record<Finding["state"], string>;

/** `remex doctor` */
export function doctorCommand(): Command {
  const command = new Command("doctor")
    .summary("say whether an agent can work on this machine, and if not, why")
    .description(
      "Looks at all that an agent needs, as remex agent with the same options would: the proxy, the endpoint, the token, the " +
        "clock, the work directory, the sandbox, a compiler. The exit code is 1 if an agent can't work here.",
    )
    .addHelpText(
      "after",
      `
It takes all options of remex agent, by flags, the environment or the same --options-file. Those on which nothing
that it looks at depends are not shown here.

Examples:
  $ remex doctor --endpoint https://remex.example.com --token-file token
  $ remex doctor --options-file agent.json5`,
    )
    .action(runDoctor);
  for (const option of agentOptions()) command.addOption(LOOKED_AT.has(option.name()) ? option : option.hideHelp());
  return command;
}

async function runDoctor(flags: DoctorFlags): Promise<void> {
  const { controlGroups, endpoint, instance, sandbox, sandboxPath, workDir } = flags;
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
  const view = { paths: sandboxPath, secrets: secretPaths(flags.tokenFile) };
  const others = [
    machine.checkUser(process.getuid?.()),
    ...(workIsBroken ? [] : [await machine.checkSandbox(sandbox, view, scratch, logger)]),
    await machine.checkControlGroups(controlGroups),
    await machine.checkToolchain(process.env["PATH"]),
  ];
  if (report(others) || broken || workIsBroken) process.exitCode = 1;
}
