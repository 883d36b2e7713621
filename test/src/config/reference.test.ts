import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseConfig } from "../../../src/config/config.ts";
import { configurationReference } from "../../../src/config/reference.ts";
import { configSchema, schedulerSchema, storeSchema } from "../../../src/config/schema.ts";

const reference = configurationReference();

/** The cells of the row of `key`. */
function rowOf(key: string): string[] | undefined {
  const line = reference.split("\n").find((candidate) => candidate.startsWith(`| \`${key}\``));
  return line
    ?.split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}

test("docs/configuration.md is what `npm run generate` makes of the schema", () => {
  const committed = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  expect(committed).toBe(reference);
});

test("every key has a row that describes it", () => {
  const instance = configSchema.shape.services.shape.execution.element;
  for (const key of [schedulerSchema, storeSchema, instance].flatMap((schema) => Object.keys(schema.shape))) {
    const [, type, , byDefault, description] = rowOf(key) ?? [];
    expect({ key, type, byDefault, description }).not.toMatchObject({ type: "" });
    expect(byDefault, key).toMatch(/^(required|none|`.+`)$/);
    expect(description, key).toMatch(/\.$/);
  }
});

test("type, unit and default come from the schema", () => {
  expect(rowOf("worker_timeout_s")?.slice(1, 4)).toEqual(["positive number", "seconds", "`60`"]);
  expect(rowOf("inline_max_bytes")?.slice(1, 4)).toEqual(["integer from 0 to 1048576", "bytes", "`16384`"]);
  expect(rowOf("unlisted_properties")?.slice(1, 4)).toEqual([`one of "exact", "ignore", "reject"`, "", '`"exact"`']);
  expect(rowOf("cas_store")?.slice(1, 4)).toEqual(["string", "", "required"]);
  expect(rowOf("anonymous")?.[1]).toMatch(/^object whose values are an array of "cache-reader", .*"operator"$/);
});

test("the example is a valid file", () => {
  const example = /```json5\n(.*?)```/s.exec(reference)?.[1] ?? "";
  expect([...parseConfig(example).instances.keys()]).toEqual(["main"]);
});
