import JSON5 from "json5";
import { digestFunctionByName, type DigestFunction } from "../digest/digest-function.ts";
import { LEASE_OVERHEAD_S } from "../limits.ts";
import { describeIssues, pathText, shown } from "./issues.ts";
import { type AccessConfig, configSchema, type Place, type SchedulerConfig, type StoreConfig } from "./schema.ts";

/** One instance with what it names resolved. */
export interface ConfiguredInstance {
  readonly name: string;
  /** Of its Instance objects. */
  readonly place: Place;
  readonly schedulerName: string;
  readonly scheduler: SchedulerConfig;
  readonly storeName: string;
  readonly store: StoreConfig;
  /** Those that clients may use, the preferred one first. */
  readonly digestFunctions: readonly DigestFunction[];
}

export interface Config {
  readonly access: AccessConfig;
  /** Where people reach the endpoint, with no slash at the end; undefined for wherever a request came to. */
  readonly publicUrl: string | undefined;
  /** By name, those that no instance uses too. */
  readonly stores: ReadonlyMap<string, StoreConfig>;
  /** By instance name. */
  readonly instances: ReadonlyMap<string, ConfiguredInstance>;
  /** Where objects are that are of no instance and no store: those of callers. */
  readonly commonPlace: Place;
}

/** Whether there is anybody whom the configuration lets do anything. */
export function grantsAnything({ anonymous, certificates, jwt, tokens }: AccessConfig): boolean {
  return Object.keys(anonymous).length > 0 || [certificates, jwt, tokens].some((entries) => entries.length > 0);
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
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`not JSON5: ${reason.replace(/^JSON5: /, "")}`);
  }
  const result = configSchema.safeParse(raw, { reportInput: true });
  if (!result.success) throw new ConfigError(describeIssues(result.error.issues).join("\n"));

  const { services } = result.data;
  const schedulers = new Map(Object.entries(result.data.schedulers));
  const stores = new Map(Object.entries(result.data.stores));
  const instances = new Map<string, ConfiguredInstance>();
  const faults: string[] = [];
  for (const [name, { default_action_timeout_s: byDefault, max_action_timeout_s: max }] of schedulers) {
    if (byDefault > max) {
      const path = pathText(["schedulers", name, "default_action_timeout_s"]);
      faults.push(`${path}: expected at most max_action_timeout_s, which is ${max}, got ${byDefault}`);
    }
  }
  services.execution.forEach((instance, index) => {
    const path = `services.execution[${index}]`;
    const { instance_name: name, scheduler: schedulerName, cas_store: storeName } = instance;
    const scheduler = schedulers.get(schedulerName);
    const store = stores.get(storeName);
    if (scheduler === undefined)
      faults.push(undefinedName(`${path}.scheduler`, "schedulers", schedulers, schedulerName));
    if (store === undefined) faults.push(undefinedName(`${path}.cas_store`, "stores", stores, storeName));
    if (instances.has(name)) faults.push(`${path}.instance_name: "${name}" is the name of another instance too`);
    if (scheduler !== undefined && store !== undefined) {
      const longestS = longestActionS(scheduler);
      if (store.min_age_s <= longestS) {
        const storePath = pathText(["stores", storeName, "min_age_s"]);
        const because = `all attempts of an action of ${pathText(["schedulers", schedulerName])} may take ${longestS} s`;
        faults.push(`${storePath}: expected more than ${longestS}, since ${because}, got ${store.min_age_s}`);
      }
      const digestFunctions = instance.digest_functions.flatMap(
        (functionName) => digestFunctionByName(functionName) ?? [],
      );
      const { jurisdiction, location_hint } = instance;
      const place = { jurisdiction, location_hint };
      instances.set(name, { name, place, schedulerName, scheduler, storeName, store, digestFunctions });
    }
  });
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  const publicUrl = result.data.dashboard.public_url?.replace(/\/+$/, "");
  const commonPlace = placeOfAll([...[...instances.values()].map(({ place }) => place), ...stores.values()]);
  return { access: result.data.access, publicUrl, stores, instances, commonPlace };
}

/** The jurisdiction and the part of the world of all places that have one; undefined where they differ. */
function placeOfAll(places: readonly Place[]): Place {
  return {
    jurisdiction: only(places.map(({ jurisdiction }) => jurisdiction)),
    location_hint: only(places.map(({ location_hint }) => location_hint)),
  };
}

function only<T>(values: readonly (T | undefined)[]): T | undefined {
  const [first, ...others] = new Set(values.filter((value) => value !== undefined));
  return others.length === 0 ? first : undefined;
}

/** How long an action may take, in all of its attempts, once agents are free: so long its inputs must not be evicted. */
function longestActionS(scheduler: SchedulerConfig): number {
  const attemptS = scheduler.max_action_timeout_s + scheduler.worker_timeout_s + LEASE_OVERHEAD_S;
  return (scheduler.max_job_retries + 1) * attemptS + scheduler.no_worker_timeout_s;
}

function undefinedName(path: string, section: string, defined: ReadonlyMap<string, unknown>, name: string): string {
  const known = defined.size === 0 ? "which is empty" : `which has ${[...defined.keys()].join(", ")}`;
  return `${path}: expected a key of ${section}, ${known}, got ${shown(name)}`;
}
