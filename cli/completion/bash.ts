import { type CommandWords, type OptionWords, withSubcommands } from "./command-words.ts";

/** A script that has bash complete the program's command line. It needs nothing beside bash, from 3.2 on. */
export function bashCompletion(program: string, root: CommandWords): string {
  const commands = withSubcommands(root);
  const paths = commands.filter(({ path }) => path.length > 0).map(({ path }) => `"${pathText(path)}"`);
  return `# bash completion for ${program}
_${program}() {
  local word command="" cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD - 1]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
    case "$command $word" in
      ${paths.join(" | ")}) command="$command $word" ;;
    esac
  done
  case "$command $prev" in
${commands.flatMap(valueCases).join("")}  esac
  case "$command" in
${commands.map(wordsCase).join("")}  esac
}
complete -o filenames -F _${program} ${program}
`;
}

/** As the script holds it: each word after a space. */
function pathText(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join("");
}

function valueCases({ path, options }: CommandWords): string[] {
  return options.flatMap((option) => {
    const reply = valueReply(option);
    return reply === undefined ? [] : [`    "${pathText(path)} ${option.name}") ${reply}; return ;;\n`];
  });
}

function valueReply({ value }: OptionWords): string | undefined {
  switch (value.kind) {
    case "none":
      return undefined;
    case "text":
      return "COMPREPLY=()";
    case "file":
      return pathReply("-f");
    case "directory":
      return pathReply("-d");
    case "choice":
      return wordsReply(value.choices);
  }
}

function wordsCase({ path, options, choices, subcommands }: CommandWords): string {
  const names = subcommands.map(({ path: below }) => below.at(-1) ?? "");
  const words = [...names, ...choices, ...options.map(({ name }) => name)];
  return `    "${pathText(path)}") ${wordsReply(words)} ;;\n`;
}

function wordsReply(words: readonly string[]): string {
  return `COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$cur"))`;
}

/** Paths may have spaces, so each is a line. */
function pathReply(kind: "-d" | "-f"): string {
  return `local IFS=$'\\n'; COMPREPLY=($(compgen ${kind} -- "$cur"))`;
}
