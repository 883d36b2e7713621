import JSON5 from "json5";
import type { z } from "zod";
import { configSchema, type SchedulerConfig, type StoreConfig } from "./schema.ts";

/** One instance with what it names resolved. */
export interface ConfiguredInstance {
  readonly name: string;
  readonly schedulerName: string;
  readonly scheduler: SchedulerConfig;
  readonly storeName: string;
  readonly store: StoreConfig;
}

export interface Config {
  /** By instance name. */
  readonly instances: ReadonlyMap<string, ConfiguredInstance>;
}

/** The configuration is not valid. The message has a line for each fault: its path, what was expected, what is there. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * Parses and checks the configuration file.
 * @throws ConfigError
 */
export function parseConfig(text: string): Config {
  let raw: unknown;
  try {
    raw = JSON5.parse(text);
  } catch (error) {
    throw new ConfigError(`not JSON5: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = configSchema.safeParse(raw, { reportInput: true });
  if (!result.success) {
    throw new ConfigError(result.error.issues.map(describeIssue).join("\n"));
  }
  const { schedulers, services, stores } = result.data;
  const instances = new Map<string, ConfiguredInstance>();
  services.execution.forEach((instance, index) => {
    const path = `services.execution[${index}]`;
    const { instance_name: name, scheduler: schedulerName, cas_store: storeName } = instance;
    const scheduler = schedulers[schedulerName];
    const store = stores[storeName];
    if (scheduler === undefined) throw new ConfigError(undefinedName(`${path}.scheduler`, schedulers, schedulerName));
    if (store === undefined) throw new ConfigError(undefinedName(`${path}.cas_store`, stores, storeName));
    if (instances.has(name)) throw new ConfigError(`${path}.instance_name: "${name}" is defined twice`);
    instances.set(name, { name, schedulerName, scheduler, storeName, store });
  });
  return { instances };
}

function undefinedName(path: string, defined: object, name: string): string {
  return `${path}: expected one of ${Object.keys(defined).join(", ")}, got "${name}"`;
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`,
  );
  const got = issue.input === undefined ? "" : `, got ${JSON.stringify(issue.input)}`;
  return `${path.join("") || "(root)"}: ${issue.message}${issue.code === "unrecognized_keys" ? "" : got}`;
}
