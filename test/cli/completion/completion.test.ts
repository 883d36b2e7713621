import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Argument, Command, Option } from "commander";
import { describe, expect, it, onTestFinished } from "vitest";
import { bashCompletion } from "../../../cli/completion/bash.ts";
import { type CommandWords, commandWords, withSubcommands } from "../../../cli/completion/command-words.ts";
import { fishCompletion } from "../../../cli/completion/fish.ts";
import { zshCompletion } from "../../../cli/completion/zsh.ts";
import { program } from "../../../cli/program.ts";

/** A program with each kind of what is to be completed, and words that shells find hard. */
function sample(): CommandWords {
  const store = new Command("store").summary("don't panic: look");
  store.addCommand(new Command("check").summary("check it").option("--deep", "all [of] it's: blobs"));
  store.addCommand(new Command("size").addArgument(new Argument("[unit]").choices(["bytes", "blobs"])));
  const run = new Command("run")
    .addOption(new Option("--mode <mode>", "how").choices(["fast", "safe"]))
    .option("--work-dir <dir>", "where")
    .option("--key <file>", "what with")
    .option("--name <name>", "who");
  return commandWords(new Command("tool").addCommand(run).addCommand(store));
}

describe("the words of a command", () => {
  it("are those of its options, arguments and subcommands", () => {
    const [root, run, store, check, size] = withSubcommands(sample());
    expect(root?.subcommands.map(({ path }) => path)).toEqual([["run"], ["store"]]);
    expect(run?.options.map(({ name, value }) => [name, value.kind])).toEqual([
      ["--mode", "choice"],
      ["--work-dir", "directory"],
      ["--key", "file"],
      ["--name", "text"],
      ["--help", "none"],
    ]);
    expect(store?.summary).toBe("don't panic: look");
    expect(check?.path).toEqual(["store", "check"]);
    expect(size?.choices).toEqual(["bytes", "blobs"]);
  });
});

/** Lines of which every shell makes the same. */
const COMPLETED_BY_ALL: [line: string, words: string[]][] = [
  ["tool s", ["store"]],
  ["tool run --", ["--mode", "--work-dir", "--key", "--name", "--help"]],
  ["tool run --mode ", ["fast", "safe"]],
  ["tool run --mode f", ["fast"]],
  ["tool run --name ", []],
  ["tool run --key b", ["b file", "b.txt"]],
  ["tool run --work-dir b", []],
  ["tool store check --d", ["--deep"]],
  ["tool store size by", ["bytes"]],
  ["tool run --mode safe --k", ["--key"]],
];

const script = bashCompletion("tool", sample());
const BASH = canRun("bash");

describe.skipIf(!BASH)("bash", () => {
  it.each<[line: string, words: string[]]>([
    ["tool ", ["run", "store", "--help"]],
    ...COMPLETED_BY_ALL,
    ["tool run --work-dir d", ["directory"]],
    ["tool store ", ["check", "size", "--help"]],
  ])("completes %j", (line, words) => {
    expect(completedByBash(line).toSorted()).toEqual(words.toSorted());
  });
});

describe.skipIf(!canRun("fish"))("fish", () => {
  it.each<[line: string, words: string[]]>([
    ["tool ", ["run", "store"]],
    ...COMPLETED_BY_ALL,
    ["tool run --work-dir d", ["directory/"]],
    ["tool store ", ["check", "size"]],
  ])("completes %j", (line, words) => {
    expect(completedByFish(line).toSorted()).toEqual(words.toSorted());
  });
});

describe.each([
  ["bash", bashCompletion],
  ["fish", fishCompletion],
  ["zsh", zshCompletion],
] as const)("%s", (shell, complete) => {
  it("is told of every command and option of remex", () => {
    const words = commandWords(program());
    const text = complete("remex", words);
    for (const { path, options } of withSubcommands(words)) {
      for (const word of path) expect(text).toContain(word);
      for (const { name } of options) expect(text).toContain(shell === "fish" ? `-l ${name.slice(2)}` : name);
    }
  });

  it.skipIf(!canRun(shell))("reads its script without complaint", () => {
    const path = join(scratchDirectory(), "script");
    for (const [name, words] of [
      ["tool", sample()],
      ["remex", commandWords(program())],
    ] as const) {
      writeFileSync(path, complete(name, words));
      expect(execFileSync(shell, ["-n", path], { encoding: "utf8" })).toBe("");
    }
  });
});

function canRun(shell: string): boolean {
  try {
    execFileSync(shell, ["-c", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "remex-completion-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

/** What bash would offer at the end of the line, in a directory with "b file", "b.txt" and "directory/". */
function completedByBash(line: string): string[] {
  const words = line.split(" ");
  const commands = `
    mkdir directory; touch "b file" b.txt
    ${script}
    COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}
    _tool; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync("bash", ["-c", commands], { encoding: "utf8", cwd: scratchDirectory() });
  return output.split("\n").filter((word) => word !== "");
}

/** What fish would, in such a directory. */
function completedByFish(line: string): string[] {
  const commands = `
    mkdir directory; touch "b file" b.txt
    ${fishCompletion("tool", sample())}
    complete --do-complete "${line}"`;
  const output = execFileSync("fish", ["--no-config", "-c", commands], { encoding: "utf8", cwd: scratchDirectory() });
  // Each is followed by what it is for, behind a tab.
  return output
    .split("\n")
    .flatMap((each) => each.split("\t").slice(0, 1))
    .filter((word) => word !== "");
}
