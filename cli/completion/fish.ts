import { type CommandWords, type OptionWords, withSubcommands } from "./command-words.ts";

/** A script that has fish complete the program's command line, with descriptions. */
export function fishCompletion(program: string, root: CommandWords): string {
  const lines = withSubcommands(root).flatMap((command) => linesOf(command));
  return [
    `# fish completion for ${program}`,
    `complete -c ${program} -f`,
    ...lines.map((line) => `complete -c ${program} ${line}`),
    "",
  ].join("\n");
}

function linesOf({ path, options, choices, subcommands }: CommandWords): string[] {
  const here = condition(path, subcommands);
  return [
    ...subcommands.map(({ path: below, summary }) => `${here} -a ${below.at(-1) ?? ""} -d ${quoted(summary)}`),
    ...choices.map((choice) => `${here} -a ${choice}`),
    ...options.map((option) => `${here} ${optionFlags(option)} -d ${quoted(option.description)}`),
  ];
}

/** That the command line is at this command, and not at one below it. */
function condition(path: readonly string[], subcommands: readonly CommandWords[]): string {
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
  const names = subcommands.map(({ path: below }) => below.at(-1)).join(" ");
  const notBelow = names === "" ? [] : [`not __fish_seen_subcommand_from ${names}`];
  return `-n ${quoted([...seen, ...notBelow].join("; and "))}`;
}

function optionFlags({ name, value }: OptionWords): string {
  const long = `-l ${name.replace(/^--/, "")}`;
  switch (value.kind) {
    case "none":
      return long;
    case "text":
      return `${long} -x`;
    case "file":
      return `${long} -r -F`;
    case "directory":
      return `${long} -x -a '(__fish_complete_directories)'`;
    case "choice":
      return `${long} -x -a ${quoted(value.choices.join(" "))}`;
  }
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}
