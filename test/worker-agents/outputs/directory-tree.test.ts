import fc from "fast-check";
import { expect, it } from "vitest";
import { byName } from "../../../worker-agents/outputs/directory-tree.ts";

it("names are in the order of their UTF-8 bytes", () => {
  const names = fc.array(fc.string({ unit: "binary" }).filter((text) => text.isWellFormed()));
  fc.assert(
    fc.property(names, (given) => {
      const sorted = given.map((name) => ({ name })).sort(byName);
      expect(sorted.map(({ name }) => name)).toEqual(
        [...given].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      );
    }),
  );
  expect([{ name: "\u{1F600}" }, { name: "\uFF00" }].sort(byName).map(({ name }) => name)).toEqual([
    "\uFF00",
    "\u{1F600}",
  ]);
});
