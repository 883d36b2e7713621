import { expect, test } from "vitest";
import { LookupCounters } from "../../../durable-objects/cache-shard/lookup-counters.ts";

test("builds are counted apart, each in its instance, and what is saved goes on", () => {
  const counters = new LookupCounters(undefined);
  counters.count("main", true, "build");
  counters.count("main", false, "build");
  counters.count("other", true, "build");
  counters.count("main", true);
  const restored = new LookupCounters(JSON.parse(JSON.stringify(counters.snapshot())));
  restored.count("main", true, "build");
  expect(restored.of("main")).toEqual({ found: 3, missing: 1 });
  expect(restored.of("main", "build")).toEqual({ found: 2, missing: 1 });
  expect(restored.of("other", "build")).toEqual({ found: 1, missing: 0 });
  expect(restored.of("main", "another")).toEqual({ found: 0, missing: 0 });
});

test("what an earlier version has saved is of use", () => {
  expect(new LookupCounters({ main: { found: 7, missing: 2 } }).of("main")).toEqual({ found: 7, missing: 2 });
});

test("builds that asked long ago are forgotten, and so is none that goes on asking", () => {
  const counters = new LookupCounters(undefined);
  for (let build = 0; build < 1000; build++) {
    counters.count("main", true, `build-${build}`);
    counters.count("main", true, "long");
  }
  counters.count("main", true, "x".repeat(1000));
  const { invocations = {} } = counters.snapshot()["main"] ?? {};
  expect(Object.keys(invocations)).toHaveLength(200);
  expect(counters.of("main", "build-0")).toEqual({ found: 0, missing: 0 });
  expect(counters.of("main", "long")).toEqual({ found: 1000, missing: 0 });
  expect(counters.of("main")).toEqual({ found: 2001, missing: 0 });
});
