import type { Command, Option } from "commander";

/** What may follow an option: nothing, a path, one of some words, or any text. */
export type OptionValue =
  | { readonly kind: "none" | "file" | "directory" | "text" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

export interface OptionWords {
  /** With its dashes. */
  readonly name: string;
  readonly description: string;
  readonly value: OptionValue;
}

/** A command as a shell completes it. */
export interface CommandWords {
  /** The words that lead to it, without the program's: none for the program itself. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly options: readonly OptionWords[];
  /** The words that its first argument may be. */
  readonly choices: readonly string[];
  readonly subcommands: readonly CommandWords[];
}

/** The words of a commander program, so that what completes them never differs from what parses them. */
export function commandWords(command: Command, path: readonly string[] = []): CommandWords {
  const helper = command.createHelp();
  return {
    path,
    summary: command.summary(),
    options: helper.visibleOptions(command).map(optionWords),
    choices: command.registeredArguments[0]?.argChoices ?? [],
    subcommands: helper
      .visibleCommands(command)
      .filter((subcommand) => subcommand.name() !== "help")
      .map((subcommand) => commandWords(subcommand, [...path, subcommand.name()])),
  };
}

/** The command and all below it. */
export function withSubcommands(command: CommandWords): CommandWords[] {
  return [command, ...command.subcommands.flatMap(withSubcommands)];
}

function optionWords(option: Option): OptionWords {
  return { name: option.long ?? option.short ?? "", description: option.description, value: valueOf(option) };
}

/** By what its help calls the value. */
function valueOf({ argChoices, flags, optional, required }: Option): OptionValue {
  if (!required && !optional) return { kind: "none" };
  if (argChoices !== undefined) return { kind: "choice", choices: argChoices };
  const [, placeholder = ""] = /[<[]([\w=-]+)/.exec(flags) ?? [];
  if (placeholder === "dir") return { kind: "directory" };
  return { kind: ["file", "path", "program"].includes(placeholder) ? "file" : "text" };
}
