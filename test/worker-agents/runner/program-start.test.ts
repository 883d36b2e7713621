import { describe, expect, it } from "vitest";
import { CommandRefused } from "../../../worker-agents/runner/exit-code.ts";
import { startersEnvironment } from "../../../worker-agents/runner/process-group.ts";
import { programStart, systemProgram, windowsDirectory } from "../../../worker-agents/runner/program-start.ts";

const DIRECTORY = "C:\\remex\\attempts\\1-1\\root";

/** What cmd.exe is given to run. */
function batchLine(...command: readonly string[]): string {
  const { program, arguments: given, windowsVerbatimArguments } = programStart(command, DIRECTORY, "win32");
  expect(program).toBe(systemProgram("cmd.exe"));
  expect(windowsVerbatimArguments).toBe(true);
  expect(given.slice(0, -1)).toEqual(["/e:on", "/v:off", "/d", "/s", "/c"]);
  return given.at(-1) ?? "";
}

it("starts a program as it is given", () => {
  const expected = { program: "bin/tool.exe", arguments: ["a b", "%PATH%"] };
  expect(programStart(["bin/tool.exe", "a b", "%PATH%"], DIRECTORY, "win32")).toEqual(expected);
  expect(programStart(["run.bat", "a b"], "/root", "linux")).toEqual({ program: "run.bat", arguments: ["a b"] });
});

describe("a batch file on Windows", () => {
  it("is run by cmd.exe, whatever its path and its extension look like", () => {
    expect(batchLine("tools/run.bat")).toBe('""tools\\run.bat""');
    expect(batchLine("./a b/Run.CMD")).toBe('"".\\a b\\Run.CMD""');
  });

  it("is given each argument as one, and none that cmd.exe would act upon", () => {
    expect(batchLine("run.bat", "plain", "--flag=a/b.c", "two words", "")).toBe(
      '""run.bat" plain "--flag=a/b.c" "two words" """',
    );
    expect(batchLine("run.bat", "a&del b", "x|y", "^", ">f", "(z)")).toBe('""run.bat" "a&del b" "x|y" "^" ">f" "(z)""');
    expect(batchLine("run.bat", "%PATH%")).toBe('""run.bat" "%%cd:~,%PATH%%cd:~,%""');
    expect(batchLine("run.bat", 'say "hi"', "C:\\dir\\", '\\"')).toBe(
      '""run.bat" "say ""hi""" "C:\\dir\\\\" "\\\\"""' + '"',
    );
  });

  it("can't have an argument of several lines", () => {
    expect(() => batchLine("run.bat", "a\nb")).toThrow(CommandRefused);
  });
});

it("starts nothing in a directory whose path is longer than Windows takes there", () => {
  const long = `C:\\${"d".repeat(256)}`;
  expect(() => programStart(["a.exe"], long, "win32")).toThrow(/has 259 characters, .*--work-dir/);
  expect(programStart(["a.exe"], long.slice(1), "win32").program).toBe("a.exe");
  expect(programStart(["a"], long, "linux").program).toBe("a");
});

it("leaves nothing of the agent's PATH to a command that declares none", () => {
  expect(startersEnvironment("linux")).toEqual({});
  expect(startersEnvironment("win32")).toEqual({
    PATH: `${windowsDirectory()}\\System32;${windowsDirectory()}`,
  });
  expect(systemProgram("cmd.exe")).toMatch(/^[A-Z]:\\Windows\\System32\\cmd\.exe$/i);
});
