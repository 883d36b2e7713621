import { expect, it } from "vitest";
import { expandFlagFiles } from "../../../worker-agents/persistent-workers/flag-files.ts";
import { Refusal } from "../../../worker-agents/refusal.ts";

function expand(flagFiles: readonly string[], files: Readonly<Record<string, string>>): Promise<string[]> {
  return expandFlagFiles(flagFiles, (path) => Promise.resolve(files[path]));
}

it("gives way to the lines of a file, in which the same holds", async () => {
  const files = { a: "-x\r\n@b\n\n--flagfile=c\n@@escaped\n@repository//package:target", b: "last" };
  expect(await expand(["@a"], files)).toEqual([
    "-x",
    "last",
    "",
    "--flagfile=c",
    "@@escaped",
    "@repository//package:target",
  ]);
});

it("leaves what names no file", async () => {
  expect(await expand(["@absent", "--flagfile=a"], { a: "x" })).toEqual(["@absent", "--flagfile=a"]);
  expect(await expand(["@empty"], { empty: "" })).toEqual([]);
});

it("refuses files that name each other in a circle", async () => {
  await expect(expand(["@a"], { a: "@b", b: "@a" })).rejects.toThrow(Refusal);
});
