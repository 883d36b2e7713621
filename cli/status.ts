import { Command, Option } from "commander";
import { endpointOption } from "./options.ts";
import { optionsFileOption } from "./options-file.ts";
import { readTokenFile, tokenFileOption } from "./token-file.ts";

interface StatusFlags {
  readonly endpoint: URL;
  readonly tokenFile?: string;
  readonly instance?: string;
  readonly json?: true;
}

/** `remex status` */
export function statusCommand(): Command {
  return new Command("status")
    .summary("say how an endpoint is: ready or not, its queues, its agents, its cache")
    .description(
      "Says how an endpoint is: whether it is ready and of which version, and for each instance what waits and for how " +
        "long, what runs, how many agents there are, and how often the action cache had a result. The exit code is 1 if " +
        "it isn't ready.",
    )
    .addOption(endpointOption())
    .addOption(tokenFileOption("a token with the role operator"))
    .addOption(
      new Option("--instance <name>", "this instance alone; all that the token may operate by default").env(
        "REMEX_INSTANCE",
      ),
    )
    .addOption(new Option("--json", "print it as JSON").env("REMEX_JSON"))
    .addOption(optionsFileOption())
    .addHelpText(
      "after",
      `
QUEUED are executions that wait for an agent, OLDEST is how long the first of them has. A platform that is queued with no
agent is served as soon as one connects that offers its properties.

Examples:
  $ remex status --endpoint https://remex.example.com --token-file operator-token
  $ remex status --endpoint https://remex.example.com --json | jq '.instances[].queued'`,
    )
    .action(runStatus);
}

async function runStatus({ endpoint, tokenFile, instance, json }: StatusFlags): Promise<void> {
  const token = readTokenFile(tokenFile);
  const [{ askStatus }, { statusText }] = await Promise.all([
    import("./status/endpoint-status.ts"),
    import("./status/status-text.ts"),
  ]);
  const status = await askStatus({ endpoint, token, instanceName: instance });
  process.stdout.write(json === true ? `${JSON.stringify(status, undefined, 2)}\n` : statusText(status));
  if (!status.ready) process.exitCode = 1;
}
