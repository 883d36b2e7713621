import { expect, test } from "vitest";
import { parseByteRange } from "../../../src/http-cache/byte-range.ts";

test.each([
  ["bytes=0-0", { startBytes: 0, endBytes: 1 }],
  ["bytes=3-", { startBytes: 3, endBytes: 10 }],
  ["bytes=3-99", { startBytes: 3, endBytes: 10 }],
  ["bytes=-4", { startBytes: 6, endBytes: 10 }],
  ["bytes=-99", { startBytes: 0, endBytes: 10 }],
  ["bytes=10-", "unsatisfiable"],
  ["bytes=-0", "unsatisfiable"],
  ["bytes=4-3", "all"],
  ["bytes=0-1,4-5", "all"],
  ["bytes=-", "all"],
  ["lines=0-1", "all"],
  [null, "all"],
])("%s of ten bytes", (header, range) => {
  expect(parseByteRange(header, 10)).toEqual(range);
});

test("nothing of the empty blob can be asked for", () => {
  for (const header of ["bytes=0-", "bytes=-1"]) expect(parseByteRange(header, 0)).toBe("unsatisfiable");
});
