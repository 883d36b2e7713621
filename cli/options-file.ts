import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import JSON5 from "json5";
import { z } from "zod";
import { errorMessage, Fault } from "./fault.ts";

const FLAG = "--options-file";

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const contents = z.record(z.string(), z.union([scalar, z.array(scalar)]));

/** `--options-file`: a command's options as a file has them. */
export function optionsFileOption(): Option {
  return new Option(
    `${FLAG} <file>`,
    'a JSON5 file with any of these options by their names, e.g. { "log-level": "warn" }; the environment and flags come first',
  ).env("REMEX_OPTIONS_FILE");
}

/**
 * Gives a command the options of the file that its arguments or the environment name, if any. To be called before it is
 * parsed: then what the environment and flags say takes precedence.
 * @throws Fault if the file can't be read, or has what is no option, or no value of one.
 */
export function applyOptionsFile(command: Command, args: readonly string[]): void {
  if (!command.options.some(({ long }) => long === FLAG)) return;
  const path = namedFile(args);
  if (path === undefined) return;
  for (const [name, value] of Object.entries(readOptions(path))) {
    const option = command.options.find((candidate) => candidate.name() === name && candidate.long !== FLAG);
    if (option === undefined) {
      throw new Fault(`${path} has the option "${name}", which ${command.name()} has not; see --help for those it has`);
    }
    command.setOptionValueWithSource(option.attributeName(), parseValue(path, option, value), "config");
  }
}

function namedFile(args: readonly string[]): string | undefined {
  return new Command()
    .exitOverride()
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .addOption(optionsFileOption())
    .parse(args, { from: "user" })
    .opts<{ optionsFile?: string }>().optionsFile;
}

function readOptions(path: string): z.infer<typeof contents> {
  try {
    return contents.parse(JSON5.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const reason =
      error instanceof z.ZodError ? "it is no object of strings, numbers and lists of them" : errorMessage(error);
    throw new Fault(`cannot read the options of ${path} (${reason}); name another file with ${FLAG}`);
  }
}

/** Parsed as the same text on the command line would be. */
function parseValue(path: string, option: Option, value: z.infer<typeof scalar> | z.infer<typeof scalar>[]): unknown {
  const fault = (expected: string) => new Fault(`${path}: ${option.name()} is ${JSON.stringify(value)}. ${expected}`);
  if (option.isBoolean() || option.negate) {
    if (value !== true) throw fault("It is true, or left out.");
    return !option.negate;
  }
  const texts = [value].flat().map(String);
  if (texts.length !== 1 && !option.variadic) throw fault("It is a single value.");
  const { parseArg } = option;
  try {
    if (parseArg === undefined) return option.variadic ? texts : texts[0];
    return texts.reduce<unknown>((previous, text) => parseArg(text, previous), undefined);
  } catch (error) {
    throw error instanceof InvalidArgumentError ? fault(error.message) : error;
  }
}
