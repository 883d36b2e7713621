import { z } from "zod";
import { expectation, schemaAt } from "./expectation.ts";
import { configSchema } from "./schema.ts";

/** A value in a message is cut here: it is there to be recognised. */
const SHOWN_CHARACTERS = 80;

/** A line for each thing that is wrong: its path, what was expected, what is there. */
export function describeIssues(issues: readonly z.core.$ZodIssue[]): string[] {
  const schema = z.toJSONSchema(configSchema, { io: "input" });
  return issues.flatMap((issue) => {
    const at = schemaAt(schema, issue.path);
    switch (issue.code) {
      case "unrecognized_keys": {
        const known = Object.keys(at?.properties ?? {}).join(", ");
        return issue.keys.map((key) => `${pathText([...issue.path, key])}: unknown key; the keys here are ${known}`);
      }
      // The messages of the schema's own rules say what was expected.
      case "invalid_key":
        return `${pathText(issue.path)}: ${issue.issues.map(({ message }) => message).join(", ")}`;
      case "invalid_format":
      case "custom":
        return `${pathText(issue.path)}: ${issue.message}, got ${shown(issue.input)}`;
      default: {
        const expected = at === undefined ? issue.message : `expected ${expectation(at)}`;
        return `${pathText(issue.path)}: ${expected}, got ${shown(issue.input)}`;
      }
    }
  });
}

/** `schedulers.MAIN_SCHEDULER.supported_platform_properties["container-image"]`, as in JavaScript. */
export function pathText(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "(the whole file)";
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${part}]`;
      const key = String(part);
      if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `[${JSON.stringify(key)}]`;
      return index === 0 ? key : `.${key}`;
    })
    .join("");
}

/** A value of the file for a message. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  // JSON has no Infinity and NaN, JSON5 does.
  const text = typeof value === "number" ? String(value) : JSON.stringify(value);
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
