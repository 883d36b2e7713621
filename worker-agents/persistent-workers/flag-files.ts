import { invalidArgument } from "../refusal.ts";

/** Deeper nesting is a circle. */
const MAX_DEPTH = 10;

/** Beyond this a request would take more memory than a tool is likely to have. */
const MAX_ARGUMENTS = 1_000_000;

/** `@repository//package:target` is a label of Bazel's and no file. */
const LABEL = /^@.*\/\//;

/**
 * What a request's arguments are, as Bazel makes them: `@file` gives way to the lines of that file, in which the same
 * holds. `@@…` stands for an argument that begins with `@`, and `--flagfile=…` is left for the worker to read.
 * @param readText the text of an input file, by its path from the working directory; undefined if it is none
 * @throws Refusal INVALID_ARGUMENT for files that name each other in a circle, or too many arguments
 */
export async function expandFlagFiles(
  flagFiles: readonly string[],
  readText: (path: string) => Promise<string | undefined>,
): Promise<string[]> {
  const expanded: string[] = [];
  const add = async (argument: string, depth: number): Promise<void> => {
    const names = argument.startsWith("@") && !argument.startsWith("@@") && !LABEL.test(argument);
    const text = names ? await readText(argument.slice(1)) : undefined;
    if (text === undefined) {
      if (expanded.push(argument) > MAX_ARGUMENTS)
        throw invalidArgument(`the files of arguments have more than ${MAX_ARGUMENTS} lines`);
      return;
    }
    if (depth === MAX_DEPTH)
      throw invalidArgument(`${argument}: files of arguments name each other more than ${MAX_DEPTH} deep`);
    const lines = text.split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    for (const line of lines) await add(line, depth + 1);
  };
  for (const argument of flagFiles) await add(argument, 0);
  return expanded;
}
