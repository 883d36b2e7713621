import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../../src/config/config.ts";
import { storeSchema } from "../../../src/config/schema.ts";

const valid = {
  stores: { MAIN_STORE: {} },
  schedulers: { MAIN_SCHEDULER: {} },
  services: { execution: [{ instance_name: "main", scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" }] },
};

/** The lines of the error that parsing `file` ends with. */
function faultsOf(file: unknown): string[] {
  return faultsOfText(JSON.stringify(file));
}

function faultsOfText(text: string): string[] {
  try {
    parseConfig(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}

function withScheduler(scheduler: unknown): unknown {
  return { ...valid, schedulers: { MAIN_SCHEDULER: scheduler } };
}

function withInstances(...names: string[]): unknown {
  const execution = names.map((name) => ({
    instance_name: name,
    scheduler: "MAIN_SCHEDULER",
    cas_store: "MAIN_STORE",
  }));
  return { ...valid, services: { execution } };
}

describe("a valid file", () => {
  test("the one of the repository is", () => {
    const text = readFileSync(new URL("../../../remex.json5", import.meta.url), "utf8");
    const main = parseConfig(text).instances.get("main");
    expect(main?.scheduler.supported_platform_properties["cpu_count"]).toBe("minimum");
  });

  test("an instance has its scheduler and store resolved, with defaults for what is not set", () => {
    const main = parseConfig(JSON.stringify(withScheduler({ worker_timeout_s: 12.5 }))).instances.get("main");
    expect(main).toMatchObject({ name: "main", schedulerName: "MAIN_SCHEDULER", storeName: "MAIN_STORE" });
    expect(main?.scheduler).toMatchObject({ worker_timeout_s: 12.5, retain_completed_for_s: 300 });
    expect(main?.store).toMatchObject({ shards: 4, inline_max_bytes: 16_384 });
  });

  test("what is of no instance is in the place that all name who name one", () => {
    const placed = (store: object, instance: object) => {
      const [first] = valid.services.execution;
      const services = {
        execution: [
          { ...first, ...instance },
          { ...first, instance_name: "other" },
        ],
      };
      return parseConfig(JSON.stringify({ ...valid, stores: { MAIN_STORE: store }, services })).commonPlace;
    };
    const eu = { jurisdiction: "eu" };
    expect(placed({}, {})).toEqual({});
    for (const place of [placed(eu, {}), placed({}, eu), placed(eu, eu)]) expect(place).toEqual(eu);
    expect(placed(eu, { jurisdiction: "fedramp", location_hint: "weur" })).toEqual({ location_hint: "weur" });
  });

  test("comments, trailing commas and bare keys are JSON5", () => {
    const text = `{
      stores: { S: {} }, // where blobs are
      schedulers: { Q: {}, },
      services: { execution: [{ instance_name: '', scheduler: 'Q', cas_store: 'S' }] },
    }`;
    expect([...parseConfig(text).instances.keys()]).toEqual([""]);
  });

  test.each(["", "main", "team/linux", "a.b-c_d"])("%j is an instance name", (name) => {
    expect(faultsOf(withInstances(name))).toEqual([]);
  });

  test("instances may share a scheduler and a store", () => {
    const { instances } = parseConfig(JSON.stringify(withInstances("a", "b")));
    expect(instances.get("a")?.store).toBe(instances.get("b")?.store);
  });
});

describe("a fault says where it is, what was expected and what is there", () => {
  test.each([
    ["worker_timeout_s", "30", `expected a positive number, got "30"`],
    ["worker_timeout_s", 0, "expected a positive number, got 0"],
    ["worker_timeout_s", null, "expected a positive number, got null"],
    ["max_job_retries", 1.5, "expected an integer of 0 or more, got 1.5"],
    ["max_job_retries", -1, "expected an integer of 0 or more, got -1"],
    ["max_queued_actions", 0, "expected a positive integer, got 0"],
    ["unlisted_properties", "exactly", `expected one of "exact", "ignore", "reject", got "exactly"`],
    [
      "supported_platform_properties",
      ["OSFamily"],
      `expected an object whose values are one of "exact", "minimum", "priority", "ignore", got ["OSFamily"]`,
    ],
  ])("%s: %j", (key, value, fault) => {
    expect(faultsOf(withScheduler({ [key]: value }))).toEqual([`schedulers.MAIN_SCHEDULER.${key}: ${fault}`]);
  });

  test("in a store", () => {
    expect(faultsOf({ ...valid, stores: { MAIN_STORE: { shards: 257 } } })).toEqual([
      "stores.MAIN_STORE.shards: expected an integer from 1 to 256, got 257",
    ]);
  });

  test("numbers that JSON does not have", () => {
    const text = JSON.stringify(withScheduler({ worker_timeout_s: 1e9 })).replace("1000000000", "Infinity");
    expect(faultsOfText(text)).toEqual([
      "schedulers.MAIN_SCHEDULER.worker_timeout_s: expected a positive number, got Infinity",
    ]);
  });

  test("a key that is no plain word is quoted in the path", () => {
    expect(faultsOf(withScheduler({ supported_platform_properties: { "container-image": "any" } }))).toEqual([
      `schedulers.MAIN_SCHEDULER.supported_platform_properties["container-image"]: ` +
        `expected one of "exact", "minimum", "priority", "ignore", got "any"`,
    ]);
  });

  test("what is missing", () => {
    const execution = [{ instance_name: "main", scheduler: "MAIN_SCHEDULER" }];
    expect(faultsOf({ stores: valid.stores, services: { execution } })).toEqual([
      "schedulers: expected an object, got nothing",
      "services.execution[0].cas_store: expected a string, got nothing",
    ]);
  });

  test("no instance at all", () => {
    expect(faultsOf(withInstances())).toEqual(["services.execution: expected an array of at least 1, got []"]);
  });

  test("every unknown key is named, with those that are known", () => {
    const known = Object.keys(storeSchema.shape).join(", ");
    expect(faultsOf({ ...valid, stores: { MAIN_STORE: { shard: 4, size: 1 } } })).toEqual([
      `stores.MAIN_STORE.shard: unknown key; the keys here are ${known}`,
      `stores.MAIN_STORE.size: unknown key; the keys here are ${known}`,
    ]);
    expect(faultsOf({ ...valid, bucket: "cas" })).toEqual([
      "bucket: unknown key; the keys here are stores, schedulers, access, dashboard, services",
    ]);
  });

  test("a long value is cut", () => {
    const [fault] = faultsOf(withScheduler({ allocation_strategy: "x".repeat(10_000) }));
    expect(fault).toMatch(/, got "x{79}…$/);
  });

  test("all faults come at once", () => {
    expect(faultsOf(withScheduler({ worker_timeout_s: -1, max_job_retries: "3", retries: 3 }))).toHaveLength(3);
  });

  test("the file is no object", () => {
    expect(faultsOfText("[]")).toEqual(["(the whole file): expected an object, got []"]);
  });

  test("the file is no JSON5", () => {
    expect(faultsOfText("{ stores: ")).toEqual(["not JSON5: invalid end of input at 1:11"]);
  });
});

describe("names", () => {
  test.each(["a b", "/main", "main/", "a//b", "größe"])("%j is no instance name", (name) => {
    expect(faultsOf(withInstances(name))).toEqual([
      "services.execution[0].instance_name: expected nothing, or segments of letters, digits, _, . and - " +
        `with a / between them, got ${JSON.stringify(name)}`,
    ]);
  });

  // These segments end the instance name in the resource names of ByteStream, in operation names and in HTTP cache paths.
  test.each(["blobs", "team/uploads", "operations/x", "a/compressed-blobs/b", "a/cas", "raw"])(
    "%j cannot be told from what follows an instance name",
    (name) => {
      expect(faultsOf(withInstances(name))).toEqual([
        "services.execution[0].instance_name: expected no segment that is one of blobs, uploads, actions, " +
          `actionResults, operations, capabilities, compressed-blobs, ui, cas, ac, raw, got "${name}"`,
      ]);
    },
  );

  test("an instance that is defined twice", () => {
    expect(faultsOf(withInstances("a", "b", "a"))).toEqual([
      `services.execution[2].instance_name: "a" is the name of another instance too`,
    ]);
  });

  test("a store's name becomes part of keys, and is one segment", () => {
    expect(faultsOf({ ...valid, stores: { MAIN_STORE: {}, "a/b": {} } })).toEqual([
      `stores["a/b"]: expected a name of letters, digits, _, . and -`,
    ]);
  });

  test("an instance that names what is not defined", () => {
    const execution = [{ instance_name: "main", scheduler: "FAST", cas_store: "constructor" }];
    expect(faultsOf({ ...valid, schedulers: { SLOW: {}, SLOWER: {} }, services: { execution } })).toEqual([
      `services.execution[0].scheduler: expected a key of schedulers, which has SLOW, SLOWER, got "FAST"`,
      `services.execution[0].cas_store: expected a key of stores, which has MAIN_STORE, got "constructor"`,
    ]);
    expect(faultsOf({ ...valid, stores: {} })).toEqual([
      `services.execution[0].cas_store: expected a key of stores, which is empty, got "MAIN_STORE"`,
    ]);
  });
});

test("the default time limit of actions is within the highest one", () => {
  expect(faultsOf(withScheduler({ max_action_timeout_s: 600 }))).toEqual([
    "schedulers.MAIN_SCHEDULER.default_action_timeout_s: expected at most max_action_timeout_s, which is 600, got 1200",
  ]);
  expect(faultsOf(withScheduler({ max_action_timeout_s: 600, default_action_timeout_s: 600 }))).toEqual([]);
});

test("what a store keeps for sure outlasts every attempt of an action", () => {
  const scheduler = {
    max_job_retries: 1,
    max_action_timeout_s: 600,
    default_action_timeout_s: 600,
    worker_timeout_s: 60,
    no_worker_timeout_s: 30,
  };
  const file = (min_age_s: number) => ({
    ...valid,
    stores: { MAIN_STORE: { min_age_s } },
    schedulers: { MAIN_SCHEDULER: scheduler },
  });
  expect(faultsOf(file(4951))).toEqual([]);
  expect(faultsOf(file(4950))).toEqual([
    "stores.MAIN_STORE.min_age_s: expected more than 4950, since all attempts of an action of " +
      "schedulers.MAIN_SCHEDULER may take 4950 s, got 4950",
  ]);
});
