import type { Command, Option } from "commander";
import { expect, it } from "vitest";
import { program } from "../../cli/program.ts";

function optionsOf(name: string): readonly Option[] {
  const command: Command | undefined = program().commands.find((candidate) => candidate.name() === name);
  if (command === undefined) throw new Error(`there is no command ${name}`);
  return command.options;
}

/** What a flag, a variable and a file may say of an option, and what is without them. */
function meaning({ argChoices, defaultValue, envVar, flags, mandatory, variadic }: Option) {
  const byDefault: unknown = defaultValue;
  return { argChoices, byDefault, envVar, flags, mandatory, variadic };
}

it("remex doctor takes what remex agent takes, so that it can be given an agent's flags, environment and options file", () => {
  expect(optionsOf("doctor").map(meaning)).toEqual(optionsOf("agent").map(meaning));
});

it("remex doctor shows the options by which it looks at something", () => {
  const shown = optionsOf("doctor").filter(({ hidden }) => !hidden);
  expect(shown.map(({ long }) => long)).toEqual(
    expect.arrayContaining(["--endpoint", "--token-file", "--sandbox-path", "--control-groups", "--options-file"]),
  );
  expect(shown.map(({ long }) => long)).not.toContain("--max-actions");
});
