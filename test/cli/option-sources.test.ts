import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command, Option } from "commander";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { applyOptionsFile } from "../../cli/options-file.ts";
import { program } from "../../cli/program.ts";

const FILE_OPTION = "--options-file";

/** REMEX_CONFIG is the text of a configuration: a binding of the Worker. */
const NAMED_OTHERWISE: ReadonlyMap<string, string> = new Map([["config", "REMEX_CONFIG_FILE"]]);

function variableOf(option: Option): string {
  return `REMEX_${option.name().toUpperCase().replaceAll("-", "_")}`;
}

/** Commands that do something by options; completion has none. */
function commandsWithOptions(): Command[] {
  return leavesOf(program()).filter(({ options }) => options.length > 0);
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

/** Anew for each parse: a commander command remembers what it has parsed. */
function commandNamed(path: string): Command {
  const found = leavesOf(program()).find((command) => pathOf(command) === path);
  if (found === undefined) throw new Error(`there is no command ${path}`);
  return found;
}

function pathOf(command: Command): string {
  return command.parent === null ? "" : `${pathOf(command.parent)} ${command.name()}`.trim();
}

/** A text that the option takes, other than its default. */
function sampleOf({ argChoices, attributeName, defaultValue, parseArg }: OptionSample): string {
  if (argChoices !== undefined) return argChoices.find((choice) => choice !== defaultValue) ?? "";
  const candidates = ["a-value", "12345678901", "20000", "https://a.example.com", "a=b"];
  const taken = candidates.find((text) => {
    try {
      parseArg?.(text, undefined);
      return true;
    } catch {
      return false;
    }
  });
  if (taken === undefined) throw new Error(`no sample fits ${attributeName()}`);
  return taken;
}

type OptionSample = Pick<Option, "argChoices" | "attributeName" | "defaultValue" | "parseArg">;

/** The options of a command that were parsed from these, without running it. */
function parsed(path: string, args: readonly string[]): Record<string, unknown> {
  const command = commandNamed(path)
    .exitOverride()
    .action(() => undefined);
  // So that each option can be looked at without the mandatory ones.
  for (const option of command.options) option.mandatory = false;
  applyOptionsFile(command, args);
  return command.parse(args, { from: "user" }).opts();
}

function optionsFile(content: Readonly<Record<string, unknown>>): string {
  const directory = mkdtempSync(join(tmpdir(), "remex-option-sources-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, "options.json5");
  writeFileSync(path, JSON.stringify(content));
  return path;
}

describe.each(commandsWithOptions().map((command) => [pathOf(command), command] as const))(
  "remex %s",
  (path, command) => {
    it("takes a file of options", () => {
      expect(command.options.map(({ long }) => long)).toContain(FILE_OPTION);
    });

    const options = command.options.filter(({ long }) => long !== FILE_OPTION);
    it.each(options.map((option) => [option.long ?? "", option] as const))(
      "%s means the same as a flag, in the environment and in a file",
      (flag, option) => {
        const isSwitch = !option.required && !option.optional;
        const sample = isSwitch ? undefined : sampleOf(option);
        const byFlag = parsed(path, [flag, ...(sample === undefined ? [] : [sample])]);
        expect(byFlag[option.attributeName()]).not.toEqual(parsed(path, [])[option.attributeName()]);

        expect(option.envVar).toBe(NAMED_OTHERWISE.get(option.name()) ?? variableOf(option));
        vi.stubEnv(option.envVar ?? "", sample ?? "1");
        onTestFinished(() => {
          vi.unstubAllEnvs();
        });
        const byEnvironment = parsed(path, []);
        vi.unstubAllEnvs();
        expect(byEnvironment).toEqual(byFlag);

        const file = optionsFile({ [option.name()]: sample ?? true });
        expect(parsed(path, [FILE_OPTION, file])).toEqual({ ...byFlag, optionsFile: file });
      },
    );
  },
);
