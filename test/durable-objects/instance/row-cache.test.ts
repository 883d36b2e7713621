import { expect, test } from "vitest";
import { RowCache } from "../../../durable-objects/instance/row-cache.ts";

const KIB = 1 << 10;

test("the least recently used rows make room for others", () => {
  const cache = new RowCache<string>(8 * KIB);
  cache.set("a", "row a", 3 * KIB);
  cache.set("b", "row b", 3 * KIB);
  expect(cache.get("a")).toBe("row a");
  cache.set("c", "row c", 3 * KIB);
  expect(["a", "b", "c"].map((key) => cache.get(key))).toEqual(["row a", undefined, "row c"]);
});

test("a row that is replaced or deleted takes no room", () => {
  const cache = new RowCache<string>(8 * KIB);
  for (let version = 1; version <= 10; version++) cache.set("a", `version ${version}`, 3 * KIB);
  cache.set("gone", "row", 3 * KIB);
  cache.delete("gone");
  cache.set("b", "row b", 3 * KIB);
  expect(["a", "gone", "b"].map((key) => cache.get(key))).toEqual(["version 10", undefined, "row b"]);
});

test("many small rows are bounded, too, and a row that is larger than all is not kept", () => {
  const cache = new RowCache<number>(8 * KIB);
  for (let row = 0; row < 1000; row++) cache.set(String(row), row, 0);
  expect(cache.get("0")).toBeUndefined();
  expect(cache.get("999")).toBe(999);
  cache.set("large", 0, 9 * KIB);
  expect(cache.get("large")).toBeUndefined();
});
