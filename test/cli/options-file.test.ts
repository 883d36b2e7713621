import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Fault } from "../../cli/fault.ts";
import { parsePositiveInteger } from "../../cli/options.ts";
import { applyOptionsFile, optionsFileOption } from "../../cli/options-file.ts";

/** The options of a command after it was parsed with these arguments and a file with this text. */
function optionsWith(text: string, args: readonly string[] = []): Record<string, unknown> {
  const directory = mkdtempSync(join(tmpdir(), "remex-options-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, "options.json5");
  writeFileSync(path, text);
  return parse(["--options-file", path, ...args]);
}

function parse(args: readonly string[]): Record<string, unknown> {
  const command = new Command("test")
    .exitOverride()
    .addOption(new Option("--max-actions <n>").default(1).env("TEST_MAX_ACTIONS").argParser(parsePositiveInteger))
    .addOption(new Option("--name <name>").makeOptionMandatory())
    .addOption(new Option("--property <p...>"))
    .addOption(new Option("--sandbox <mode>").choices(["auto", "none"]))
    .addOption(new Option("--no-agent"))
    .addOption(optionsFileOption());
  applyOptionsFile(command, args);
  return command.parse(args, { from: "user" }).opts();
}

it("a file's options are parsed as flags are", () => {
  const text = `{ name: "a", "max-actions": 3, property: ["x=1", "y=2"], sandbox: "none", "no-agent": true } // as JSON5`;
  expect(optionsWith(text)).toMatchObject({
    name: "a",
    maxActions: 3,
    property: ["x=1", "y=2"],
    sandbox: "none",
    agent: false,
  });
});

it("flags come before the environment, that before the file, and that before the defaults", () => {
  const text = '{ name: "a", "max-actions": 3 }';
  expect(optionsWith('{ name: "a" }').maxActions).toBe(1);
  expect(optionsWith(text).maxActions).toBe(3);
  vi.stubEnv("TEST_MAX_ACTIONS", "4");
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  expect(optionsWith(text).maxActions).toBe(4);
  expect(optionsWith(text, ["--max-actions", "5"]).maxActions).toBe(5);
});

it("without a file there are the flags alone", () => {
  expect(parse(["--name", "b"]).name).toBe("b");
});

describe("what is wrong with a file is said in one line that names it", () => {
  it.each([
    ["an option that isn't one", '{ nam: "a" }', /options\.json5 has the option "nam", which test has not/],
    ["a wrong value", '{ "max-actions": 0 }', /max-actions is 0\. It is a whole number from 1/],
    ["a value that is no choice", '{ sandbox: "maybe" }', /sandbox is "maybe"\. Allowed choices are auto, none/],
    ["several values of one", '{ name: ["a", "b"] }', /name is \["a","b"\]\. It is a single value/],
    ["a flag that is off", '{ "no-agent": false }', /no-agent is false\. It is true, or left out/],
    ["no object", "[]", /options\.json5 \(it is no object/],
    ["a value that is an object", "{ name: {} }", /it is no object of strings/],
    ["no JSON5", "{", /cannot read the options of .*options\.json5 \(JSON5/],
    ["the file itself", '{ "options-file": "x" }', /has the option "options-file"/],
  ])("%s", (_what, text, message) => {
    expect(() => optionsWith(text)).toThrow(Fault);
    expect(() => optionsWith(text)).toThrow(message);
  });

  it("a file that isn't there", () => {
    expect(() => parse(["--options-file", "/nowhere"])).toThrow(/nowhere.*--options-file/);
  });
});
