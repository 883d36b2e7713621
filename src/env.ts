import type { CacheShard } from "../durable-objects/cache-shard.ts";
import type { Instance } from "../durable-objects/instance.ts";
import type { TracingVariables } from "./tracing/tracing-settings.ts";
import type { Quota } from "../durable-objects/quota.ts";

/** The Worker's bindings, as `wrangler.toml` and the local runner define them. Tracing's are OpenTelemetry's own. */
export interface Env extends TracingVariables {
  readonly CAS: R2Bucket;
  readonly INSTANCE: DurableObjectNamespace<Instance>;
  readonly CACHE_SHARD: DurableObjectNamespace<CacheShard>;
  readonly QUOTA: DurableObjectNamespace<Quota>;
  /** The configuration file's text, where it is not the one bundled at deploy time. */
  readonly REMEX_CONFIG?: string;
  /**
   * Roles that callers without a token have on every instance, separated by commas, where the configuration says nothing
   * of access. Set by the local runner, which listens on this machine only; never on a deployed Worker.
   */
  readonly REMEX_ANONYMOUS_ROLES?: string;
  /**
   * A secret: by what bridges sign for their clients' certificates, at least 32 characters. Several are separated by white
   * space, for the time in which bridges go over to another.
   */
  readonly REMEX_BRIDGE_KEY?: string;
  /** Set by the local runner: every object is on this machine, and workerd by itself has no jurisdictions. */
  readonly REMEX_ONE_PLACE?: string;
}
