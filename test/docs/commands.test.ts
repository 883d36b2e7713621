import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, Option } from "commander";
import { describe, expect, it } from "vitest";
import { program } from "../../cli/program.ts";

/** Variables that are no option's: bindings of a Worker, and what the tests go by. */
const NO_OPTIONS = new Set(["REMEX_BRIDGE_KEY", "REMEX_CONFIG", "REMEX_TEST_SCREENSHOTS"]);

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf);
}

function variables(options: readonly Option[]): Set<string | undefined> {
  return new Set(options.map(({ envVar }) => envVar));
}

/** The command that the words begin with, and the words behind it. */
function commandOf(words: readonly string[]): { command: Command; args: string[] } {
  let command: Command = program();
  const args = [...words];
  for (let next = child(command, args[0]); next !== undefined; next = child(command, args[0])) {
    command = next;
    args.shift();
  }
  return { command, args };
}

function child(command: Command, name: string | undefined): Command | undefined {
  return command.commands.find((candidate) => candidate.name() === name);
}

/** What the command would run with. Throws what it would say of wrong words; mandatory options may come by the environment. */
function parsed(words: readonly string[]): Record<string, unknown> {
  const { command, args } = commandOf(words);
  for (const option of command.options) option.mandatory = false;
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .action(() => undefined)
    .parse(args, { from: "user" })
    .opts();
}

function optionsOfAgent(): readonly Option[] {
  return commandOf(["agent"]).command.options;
}

describe("the files that run an agent name options and variables that it has, and outlast its drain timeout", () => {
  it("systemd's", () => {
    const unit = readFileSync("docs/agents/remex-agent.service", "utf8");
    const [, program = "", args = ""] = /^ExecStart=(\S+) (.*)$/m.exec(unit) ?? [];
    expect(program).toMatch(/\/remex$/);
    const options = parsed(args.split(" "));
    expect(options).toMatchObject({ workDir: "/var/cache/remex-agent" });
    const names = [...unit.matchAll(/^Environment=(\w+)=/gm)].map(([, name]) => name);
    expect(names).toContain("REMEX_TOKEN_FILE");
    expect([...variables(optionsOfAgent())]).toEqual(expect.arrayContaining(names));
    const [, stopSeconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
    expect(Number(stopSeconds)).toBeGreaterThan(Number(options["drainTimeout"]));
  });

  it("launchd's", () => {
    const plist = readFileSync("docs/agents/dev.remex.agent.plist", "utf8");
    const [, list = ""] = /<key>ProgramArguments<\/key>\s*<array>(.*?)<\/array>/s.exec(plist) ?? [];
    const [program, ...args] = [...list.matchAll(/<string>(.*?)<\/string>/g)].map(([, text = ""]) => text);
    expect(program).toMatch(/\/remex$/);
    const options = parsed(args);
    expect(options).toMatchObject({ tokenFile: "/usr/local/etc/remex-agent.token" });
    const [, exitSeconds] = /<key>ExitTimeOut<\/key>\s*<integer>(\d+)<\/integer>/.exec(plist) ?? [];
    expect(Number(exitSeconds)).toBeGreaterThan(Number(options["drainTimeout"]));
  });

  it("Docker's", () => {
    const dockerfile = readFileSync("docs/agents/Dockerfile", "utf8");
    const [, entrypoint = ""] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? [];
    expect(entrypoint).toBe('["remex", "agent"]');
    const names = [...dockerfile.matchAll(/^ENV (\w+)=/gm)].map(([, name]) => name);
    expect(names).toEqual(["REMEX_WORK_DIR"]);
    expect([...variables(optionsOfAgent())]).toEqual(expect.arrayContaining(names));
  });
});

const PAGES = [
  "README.md",
  ...readdirSync("docs", { recursive: true, encoding: "utf8" }).map((name) => join("docs", name)),
].filter((path) => path.endsWith(".md"));

/** The words behind `remex` in each command of a page's code, up to a comment or another command. */
function commandsIn(page: string): string[][] {
  return page
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line.startsWith("    "))
    .flatMap((line) => {
      const [, command] =
        /(?:^|\s)remex(?:-agent)? ((?:agent|bridge|doctor|start|status|store|--)[^<>|#]*)/.exec(line) ?? [];
      return command === undefined ? [] : [command.trim().split(/\s+/)];
    })
    .map((words) => (words[0]?.startsWith("--") ? ["agent", ...words] : words));
}

describe.each(PAGES)("%s", (path) => {
  const page = readFileSync(path, "utf8");

  it("shows commands that there are, with flags that they take", () => {
    for (const words of commandsIn(page)) {
      const { command, args } = commandOf(words);
      expect(command.parent, words.join(" ")).not.toBeNull();
      const flags = args.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0]);
      expect(
        command.options.map(({ long }) => long),
        words.join(" "),
      ).toEqual(expect.arrayContaining(flags));
    }
  });

  it("names variables that there are", () => {
    const known = variables(leavesOf(program()).flatMap(({ options }) => options));
    const named = [...page.matchAll(/\bREMEX_[A-Z_]+\b/g)].map(([name]) => name);
    expect(named.filter((name) => !known.has(name) && !NO_OPTIONS.has(name))).toEqual([]);
  });
});

it.each(["README.md", "docs/bazel.md"])(
  "%s gives Bazel time for large blobs, and tries again (redpanda#31358)",
  (path) => {
    const flags = new Map(
      [...readFileSync(path, "utf8").matchAll(/^ +build:remex --(\w+)=(\d+)$/gm)].map(([, flag, value]) => [
        flag,
        value,
      ]),
    );
    // Bazel's own are 60 s, from the beginning of a call to its end, and 5.
    expect(Number(flags.get("remote_timeout"))).toBeGreaterThanOrEqual(600);
    expect(Number(flags.get("remote_retries"))).toBeGreaterThanOrEqual(5);
  },
);

it("commands are found in pages", () => {
  const found = PAGES.flatMap((path) => commandsIn(readFileSync(path, "utf8"))).map(([name]) => name);
  expect(found).toEqual(expect.arrayContaining(["agent", "bridge", "doctor", "store"]));
});
