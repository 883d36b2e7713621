import { execFileSync } from "node:child_process";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CommandSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { commandLine, shellQuoted } from "../../../src/dashboard/parts/command-line.ts";

function shell(line: string): string {
  return execFileSync("/bin/sh", ["-c", line], { encoding: "utf8", cwd: "/" });
}

test("a shell reads back every word as it was", () => {
  const word = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !text.includes("\0"));
  fc.assert(
    fc.property(
      fc.array(fc.oneof(word, fc.constantFrom("it's", "$HOME", "~", "`x`", "a\\b", "", "-n", "!", "a\nb")), {
        minLength: 1,
        maxLength: 20,
      }),
      (words) => {
        const printed = shell(`printf '%s\\0' ${words.map(shellQuoted).join(" ")}`);
        expect(printed.split("\0").slice(0, -1)).toEqual(words.map((text) => text.toWellFormed()));
      },
    ),
    { numRuns: 30 },
  );
});

test("the command runs in its directory with nothing but its own environment", () => {
  const command = create(CommandSchema, {
    arguments: ["/bin/sh", "-c", 'pwd; echo "$A|$HOME|$1"', "sh", "it's"],
    environmentVariables: [{ name: "A", value: "b c" }],
    workingDirectory: "usr/bin",
  });
  expect(shell(commandLine(command))).toMatch(/bin\nb c\|\|it's\n$/);
});

test("a program whose name has an equals sign is no variable", () => {
  const command = create(CommandSchema, {
    arguments: ["a=b", "c"],
    environmentVariables: [{ name: "PATH", value: "/none" }],
  });
  expect(commandLine(command)).toBe(`env -i PATH=/none sh -c 'exec "$0" "$@"' a=b c`);
});
