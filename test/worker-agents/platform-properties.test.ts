import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  foundProperties,
  mergeProperties,
  parsePropertiesFile,
  parseProperty,
  PropertyError,
  readPropertiesFile,
} from "../../worker-agents/platform-properties.ts";
import { temporaryDirectory } from "./running-agent.ts";

describe("platform properties", () => {
  it("are found: the system, the architecture, CPUs and memory", () => {
    const found = new Map(foundProperties().map(({ name, value }) => [name, value]));
    expect([...found.keys()]).toEqual(["OSFamily", "Arch", "cpu_count", "memory_kb"]);
    expect(Number(found.get("cpu_count"))).toBeGreaterThan(0);
    expect(Number(found.get("memory_kb"))).toBeGreaterThan(100_000);
  });

  it("that are given replace those found by the same name, all of them", () => {
    const found = [
      { name: "a", value: "found" },
      { name: "b", value: "found" },
    ];
    const given = [
      { name: "b", value: "1" },
      { name: "b", value: "2" },
    ];
    expect(mergeProperties(found, given)).toEqual([{ name: "a", value: "found" }, ...given]);
  });

  it("are flags of name=value", () => {
    expect(parseProperty("name=value=more")).toEqual({ name: "name", value: "value=more" });
    expect(parseProperty("name=")).toEqual({ name: "name", value: "" });
    expect(() => parseProperty("name")).toThrow('property "name": expected name=value');
    expect(() => parseProperty("=value")).toThrow(PropertyError);
  });

  it("are a JSON5 file of values or lists of them", async () => {
    expect(parsePropertiesFile("{ pool: ['a', 'b'], gpus: 2, fast: true, /* none */ empty: [] }")).toEqual([
      { name: "pool", value: "a" },
      { name: "pool", value: "b" },
      { name: "gpus", value: "2" },
      { name: "fast", value: "true" },
    ]);
    expect(() => parsePropertiesFile("{ pool: { a: 1 } }")).toThrow("pool: expected");
    expect(() => parsePropertiesFile("[")).toThrow("not JSON5");
    const path = join(await temporaryDirectory(), "properties.json5");
    await writeFile(path, "{ pool: null }");
    await expect(readPropertiesFile(path)).rejects.toThrow(`${path}: pool: expected`);
    await expect(readPropertiesFile(`${path}.not`)).rejects.toThrow(PropertyError);
  });
});
