import fc from "fast-check";
import { expect, test } from "vitest";
import { argumentDifferences } from "../../../src/dashboard/difference/action-difference.ts";

function changes(before: string, after: string): string[] {
  const words = (text: string) => text.split(" ").filter((word) => word !== "");
  return argumentDifferences(words(before), words(after)).map(
    (difference) => `${difference.before ?? ""}>${difference.after ?? ""}`,
  );
}

test.each([
  ["clang -O2 -c a.c", "clang -O2 -c a.c", []],
  ["clang -O2 -c a.c", "clang -O3 -c a.c", ["-O2>-O3"]],
  ["clang -O2 -c a.c", "clang -O2 -Wall -c a.c", [">-Wall"]],
  ["clang -O2 -g -c a.c", "clang -O2 -c a.c", ["-g>"]],
  ["a b c d e", "b c x e f", ["a>", "d>x", ">f"]],
  ["", "a", [">a"]],
])("%j and %j", (before, after, expected) => {
  expect(changes(before, after)).toEqual(expected);
});

test("what is taken away and added makes the one line of the other", () => {
  const line = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 12 });
  fc.assert(
    fc.property(line, line, (before, after) => {
      const differences = argumentDifferences(before, after);
      const removed = differences.flatMap((difference) => difference.before ?? []);
      const added = differences.flatMap((difference) => difference.after ?? []);
      expect(before.length - removed.length).toBe(after.length - added.length);
      for (const word of "abcd") {
        const count = (words: readonly string[]) => words.filter((other) => other === word).length;
        expect(count(before) - count(removed) + count(added)).toBe(count(after));
      }
    }),
  );
});
