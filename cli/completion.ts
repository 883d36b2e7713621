import { Argument, Command } from "commander";
import { bashCompletion } from "./completion/bash.ts";
import { type CommandWords, commandWords } from "./completion/command-words.ts";
import { fishCompletion } from "./completion/fish.ts";
import { zshCompletion } from "./completion/zsh.ts";

const SHELLS = {
  bash: bashCompletion,
  fish: fishCompletion,
  zsh: zshCompletion,
} satisfies Record<string, (program: string, root: CommandWords) => string>;

/** `remex completion` */
export function completionCommand(): Command {
  return new Command("completion")
    .summary("print what makes a shell complete remex's commands and options")
    .description("Prints a script that makes a shell complete the commands, options and values of remex.")
    .addArgument(new Argument("<shell>").choices(Object.keys(SHELLS)))
    .addHelpText(
      "after",
      `
For this shell, or in the file that it reads at its start:
  bash  $ source <(remex completion bash)
  zsh   $ source <(remex completion zsh)          (after compinit)
  fish  $ remex completion fish | source

Once for all, to be made anew after an upgrade:
  bash  $ remex completion bash > /etc/bash_completion.d/remex
  zsh   $ remex completion zsh > "\${fpath[1]}/_remex"
  fish  $ remex completion fish > ~/.config/fish/completions/remex.fish`,
    )
    .action((shell: keyof typeof SHELLS, _flags, command: Command) => {
      const program = command.parent ?? command;
      process.stdout.write(SHELLS[shell](program.name(), commandWords(program)));
    });
}
