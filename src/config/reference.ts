import { z } from "zod";
import { expectation, type JsonSchema } from "./expectation.ts";
import { configSchema } from "./schema.ts";

const INTRODUCTION = `# Configuration

Remex reads one [JSON5](https://json5.org) file, \`remex.json5\`: it is bundled with the Worker when that is built or
deployed. An unknown key is an error, and so is a value of the wrong kind; the message names the path, what was expected
and what is there. What Cloudflare itself needs is in \`wrangler.toml\`.

The smallest file that works:

\`\`\`json5
{
  stores: { MAIN_STORE: {} },
  schedulers: { MAIN_SCHEDULER: {} },
  services: {
    execution: [{ instance_name: "main", scheduler: "MAIN_SCHEDULER", cas_store: "MAIN_STORE" }],
  },
}
\`\`\`

This page is made from \`src/config/schema.ts\` by \`npm run generate\`.
`;

/** The units that the ends of keys stand for. */
const UNITS: readonly (readonly [suffix: string, unit: string])[] = [
  ["_s", "seconds"],
  ["_bytes", "bytes"],
];

/** The reference of the configuration file, in Markdown: a section for each object, a row for each of its keys. */
export function configurationReference(): string {
  return [INTRODUCTION, ...sections(z.toJSONSchema(configSchema, { io: "input" }), "", "")].join("\n");
}

function sections(schema: JsonSchema, path: string, description: string): string[] {
  const rows: Row[] = [];
  const nested: string[] = [];
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    if (typeof value !== "object") continue;
    const keyPath = path === "" ? key : `${path}.${key}`;
    if (value.properties !== undefined) {
      nested.push(...sections(value, keyPath, value.description ?? ""));
    } else if (isObject(value.additionalProperties)) {
      nested.push(...sections(value.additionalProperties, `${keyPath}.{name}`, value.description ?? ""));
    } else if (isObject(value.items)) {
      nested.push(...sections(value.items, `${keyPath}[]`, value.description ?? ""));
    } else {
      rows.push(row(key, value, schema.required?.includes(key) === true));
    }
  }
  return rows.length === 0 ? nested : [`## \`${path}\`\n\n${description}\n\n${table([HEADINGS, ...rows])}`, ...nested];
}

function isObject(schema: unknown): schema is JsonSchema {
  return typeof schema === "object" && schema !== null && "type" in schema && schema.type === "object";
}

type Row = readonly [key: string, type: string, unit: string, byDefault: string, description: string];

const HEADINGS: Row = ["Key", "Type", "Unit", "Default", "Description"];

function row(key: string, schema: JsonSchema, isRequired: boolean): Row {
  const type = expectation(schema).replace(/^an? /, "");
  const unit = UNITS.find(([suffix]) => key.endsWith(suffix))?.[1] ?? "";
  const absent = isRequired ? "required" : "none";
  const byDefault = schema.default === undefined ? absent : `\`${JSON.stringify(schema.default)}\``;
  return [`\`${key}\``, type, unit, byDefault, schema.description ?? ""];
}

/** A Markdown table, the first row its head, with columns of even width as Prettier lays them out. */
function table([head, ...body]: readonly [Row, ...Row[]]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |\n`;
  return [head, widths.map((width) => "-".repeat(width)), ...body].map(line).join("");
}
