import { type CommandWords, type OptionWords, withSubcommands } from "./command-words.ts";

/** A script that has zsh complete the program's command line, with descriptions. */
export function zshCompletion(program: string, root: CommandWords): string {
  const functions = withSubcommands(root).map((command) => functionOf(program, command));
  return `#compdef ${program}
# zsh completion for ${program}
${functions.join("\n")}
if [ "$funcstack[1]" = "_${program}" ]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}

function functionOf(program: string, { path, options, choices, subcommands }: CommandWords): string {
  const name = ["", program, ...path].join("_");
  const specs = options.map((option) => `    ${quoted(optionSpec(option))} \\\n`).join("");
  if (subcommands.length === 0) {
    const first = choices.length === 0 ? "" : `    ${quoted(`1:argument:(${choices.join(" ")})`)} \\\n`;
    return `${name}() {\n  _arguments \\\n${specs}${first}    && return\n}\n`;
  }
  const described = subcommands.map(({ path: below, summary }) => quoted(`${below.at(-1) ?? ""}:${summary}`));
  const cases = subcommands.map(
    ({ path: below }) => `      ${below.at(-1) ?? ""}) ${[name, below.at(-1)].join("_")} ;;\n`,
  );
  return `${name}() {
  local state
  local -a commands=(${described.join(" ")})
  _arguments -C \\
${specs}    '1:command:->command' \\
    '*::arguments:->arguments' \\
    && return
  case $state in
    command) _describe command commands ;;
    arguments)
      case $words[1] in
${cases.join("")}      esac
      ;;
  esac
}
`;
}

function optionSpec({ name, description, value }: OptionWords): string {
  const described = `${name}[${description.replace(/[[\]\\:]/g, "\\$&")}]`;
  switch (value.kind) {
    case "none":
      return described;
    case "text":
      return `${described}:value: `;
    case "file":
      return `${described}:file:_files`;
    case "directory":
      return `${described}:directory:_files -/`;
    case "choice":
      return `${described}:choice:(${value.choices.join(" ")})`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
