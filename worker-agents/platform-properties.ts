import { readFile } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import JSON5 from "json5";
import { z } from "zod";
import { machineArchitecture, osFamily } from "./operating-system.ts";
import { errorMessage } from "./system-error.ts";

/** One platform property that a machine offers. A name may come more than once, with several values. */
export interface PlatformProperty {
  readonly name: string;
  readonly value: string;
}

/** A property was given in a form that can't be read. The message says which and what was expected. */
export class PropertyError extends Error {
  override readonly name = "PropertyError";
}

/** What this machine says of itself: OSFamily, Arch, cpu_count, memory_kb. */
export function foundProperties(): PlatformProperty[] {
  return [
    { name: "OSFamily", value: osFamily() },
    { name: "Arch", value: machineArchitecture() },
    { name: "cpu_count", value: String(availableParallelism()) },
    { name: "memory_kb", value: String(Math.floor(memoryBytes() / 1024)) },
  ];
}

/** The machine's memory, or this process's share of it where a container's limit is lower. */
function memoryBytes(): number {
  // 0, or a number beyond all memory, where there is no limit.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** `found`, with every name that `given` has replaced by all that is given for it. */
export function mergeProperties(
  found: readonly PlatformProperty[],
  given: readonly PlatformProperty[],
): PlatformProperty[] {
  const replaced = new Set(given.map(({ name }) => name));
  return [...found.filter(({ name }) => !replaced.has(name)), ...given];
}

/**
 * Parses a `name=value` flag. The value may be empty and may have further `=`.
 * @throws PropertyError
 */
export function parseProperty(flag: string): PlatformProperty {
  const equals = flag.indexOf("=");
  if (equals < 1) throw new PropertyError(`property "${flag}": expected name=value`);
  return { name: flag.slice(0, equals), value: flag.slice(equals + 1) };
}

const value = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const propertiesFile = z.record(z.string().min(1), z.union([value, z.array(value)]));

/**
 * Parses the text of a properties file: one JSON5 object from names to a value (string, number or boolean) or an array
 * of values.
 * @throws PropertyError
 */
export function parsePropertiesFile(text: string): PlatformProperty[] {
  let raw: unknown;
  try {
    raw = JSON5.parse(text);
  } catch (error) {
    throw new PropertyError(`not JSON5: ${errorMessage(error)}`);
  }
  const result = propertiesFile.safeParse(raw);
  if (!result.success) {
    const paths = result.error.issues.map(({ path }) => path.join(".") || "(root)").join(", ");
    throw new PropertyError(`${paths}: expected an object from property names to a value or an array of values`);
  }
  return Object.entries(result.data).flatMap(([name, values]) =>
    [values].flat().map((each) => ({ name, value: each })),
  );
}

/**
 * Reads a properties file.
 * @throws PropertyError if it can't be read or parsed; the message begins with the path.
 */
export async function readPropertiesFile(path: string): Promise<PlatformProperty[]> {
  try {
    return parsePropertiesFile(await readFile(path, "utf8"));
  } catch (error) {
    throw new PropertyError(`${path}: ${errorMessage(error)}`);
  }
}
