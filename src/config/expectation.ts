import type { z } from "zod";

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** What a value must be, in words that go after "expected": `a positive number`, `an integer from 1 to 256`. */
export function expectation(schema: JsonSchema): string {
  if (schema.enum !== undefined) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`;
  switch (schema.type) {
    case "integer":
    case "number":
      return numberExpectation(schema, schema.type);
    case "array":
      return arrayExpectation(schema);
    case "object": {
      const values = schema.additionalProperties;
      const scalars = typeof values === "object" && values.type !== "object";
      return scalars ? `an object whose values are ${expectation(values)}` : "an object";
    }
    case "boolean":
      return "true or false";
    default:
      return "a string";
  }
}

function arrayExpectation({ minItems, items }: JsonSchema): string {
  const choices = typeof items === "object" && !Array.isArray(items) ? items.enum : undefined;
  return [
    "an array",
    minItems === undefined ? "" : ` of at least ${minItems}`,
    choices === undefined ? "" : ` of ${choices.map((value) => JSON.stringify(value)).join(", ")}`,
  ].join("");
}

function numberExpectation(schema: JsonSchema, type: "integer" | "number"): string {
  const noun = type === "integer" ? "an integer" : "a number";
  const { minimum, maximum } = schema;
  // zod states the range in which a double is exact for every integer.
  const bounded = maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER;
  if (minimum !== undefined && bounded) return `${noun} from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `${noun} of ${minimum} or more`;
  if (schema.exclusiveMinimum === 0) return `a positive ${type}${bounded ? ` up to ${maximum}` : ""}`;
  return bounded ? `${noun} up to ${maximum}` : noun;
}

/** The part of `schema` that a value at `path` has to meet, or undefined if there is none. */
export function schemaAt(schema: JsonSchema, path: readonly PropertyKey[]): JsonSchema | undefined {
  const [part, ...rest] = path;
  if (part === undefined) return schema;
  const next =
    typeof part === "number" ? schema.items : (schema.properties?.[String(part)] ?? schema.additionalProperties);
  return typeof next === "object" && !Array.isArray(next) ? schemaAt(next, rest) : undefined;
}
