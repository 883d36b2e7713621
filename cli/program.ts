import { Command } from "commander";
import { agentCommand } from "./agent.ts";
import { bridgeCommand } from "./bridge.ts";
import { ProxyVariableError } from "../endpoint/proxy-for.ts";
import { completionCommand } from "./completion.ts";
import { doctorCommand } from "./doctor.ts";
import { errorMessage, Fault } from "./fault.ts";
import { applyOptionsFile } from "./options-file.ts";
import { packageVersion } from "./package-directory.ts";
import { startCommand } from "./start.ts";
import { statusCommand } from "./status.ts";
import { storeCommand } from "./store.ts";

/** Runs the command line, and sets the exit code: 0, or 1 after one line on stderr that says what to put right. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(argv);
  } catch (error) {
    if (!(error instanceof Fault || error instanceof ProxyVariableError)) throw error;
    console.error(`remex: ${errorMessage(error)}`);
    process.exitCode = 1;
  }
}

/** The command line, to be parsed once. */
export function program(): Command {
  const remex = new Command("remex")
    // One form for all that is wrong with a command line, whoever finds it.
    .configureOutput({
      outputError: (text, write) => {
        write(`${text.replace(/^error: /, "remex: ").trimEnd()} (see --help)\n`);
      },
    })
    .description("Bazel's Remote Execution API v2 as an edge-deployed service.")
    .version(packageVersion())
    .addHelpText(
      "after",
      `
Each option can be given by the environment variable named beside it, too, and by a file: --options-file.

A first build on this machine:
  $ npx remex start
  $ bazel build --remote_executor=grpc://localhost:50051 --remote_instance_name=main //...

With a deployed Worker, and as many build machines as you like:
  $ npx remex agent  --endpoint https://remex.example.com        (on each build machine)
  $ npx remex bridge --endpoint https://remex.example.com        (beside Bazel)
  $ npx remex status --endpoint https://remex.example.com        (how it is)`,
    );
  remex.hook("preSubcommand", (_, command) => {
    applyOptionsFile(command, remex.args);
  });
  const commands = [
    startCommand(),
    agentCommand(),
    bridgeCommand(),
    doctorCommand(),
    statusCommand(),
    storeCommand(),
    completionCommand(),
  ];
  for (const command of commands) remex.addCommand(command.copyInheritedSettings(remex));
  return remex;
}
