import { expect, test } from "vitest";
import { RecentMap, type RecentMapOptions } from "../../bridge/recent-map.ts";

/** A map of strings, each of which weighs its length, and a clock that is set. */
function recentMap(options: Partial<RecentMapOptions<string>> = {}) {
  const clock = { ms: 0 };
  const dropped: string[] = [];
  const map = new RecentMap<string>({
    ttlMs: 10,
    maxEntries: 3,
    bytesOf: (value) => value.length,
    onDropped: (value) => dropped.push(value),
    now: () => clock.ms,
    ...options,
  });
  return { map, clock, dropped };
}

test("an entry is there until its time is over", () => {
  const { map, clock } = recentMap();
  map.set("a", "1");
  clock.ms = 9;
  expect(map.get("a")).toBe("1");
  clock.ms = 10;
  expect(map.get("a")).toBeUndefined();
});

test("what is old is dropped when something is set, and only that", () => {
  const { map, clock, dropped } = recentMap();
  map.set("a", "1");
  clock.ms = 5;
  map.set("b", "2");
  clock.ms = 11;
  map.set("c", "3");
  expect(dropped).toEqual(["1"]);
  expect(map.size).toBe(2);
});

test("an entry that is set again is new, and not dropped", () => {
  const { map, clock, dropped } = recentMap();
  map.set("a", "1");
  clock.ms = 6;
  map.set("a", "2");
  clock.ms = 12;
  map.set("b", "3");
  expect(map.get("a")).toBe("2");
  expect(dropped).toEqual([]);
});

test("what is above the number of entries, or their weight, drops those that were set longest ago", () => {
  const { map, dropped } = recentMap({ maxBytes: 10 });
  for (const key of ["a", "b", "c", "d"]) map.set(key, key);
  expect(dropped).toEqual(["a"]);
  map.set("e", "eeeeeeeee");
  expect(dropped).toEqual(["a", "b", "c"]);
  expect([map.get("d"), map.get("e")]).toEqual(["d", "eeeeeeeee"]);
});

test("what alone is too heavy is not kept", () => {
  const { map } = recentMap({ maxBytes: 3 });
  map.set("a", "aaaa");
  expect(map.size).toBe(0);
  map.set("b", "bbb");
  expect(map.get("b")).toBe("bbb");
});

test("a cleared map is empty, and weighs nothing", () => {
  const { map } = recentMap({ maxBytes: 3 });
  map.set("a", "aaa");
  map.clear();
  map.set("b", "bbb");
  expect(map.get("a")).toBeUndefined();
  expect(map.get("b")).toBe("bbb");
});
