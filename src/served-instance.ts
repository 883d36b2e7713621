import { Code, ConnectError } from "@connectrpc/connect";
import { openActionCache, type ActionCache } from "./action-cache/action-cache.ts";
import type { BlobStore } from "./blob-store/blob-store.ts";
import { openBlobStore } from "./blob-store/open-blob-store.ts";
import type { ConfiguredInstance } from "./config/config.ts";
import { servedConfig } from "./config/served-config.ts";
import type { DigestFunction } from "./digest/digest-function.ts";
import type { Env } from "./env.ts";

/** An instance as the services see it. */
export interface ServedInstance {
  readonly config: ConfiguredInstance;
  readonly blobs: BlobStore;
  readonly actionCache: ActionCache;
  /** Those that the instance accepts, the preferred one first. */
  readonly digestFunctions: readonly DigestFunction[];
}

/**
 * The instance that a client names.
 * @throws ConnectError INVALID_ARGUMENT if the configuration doesn't have it.
 */
export function serveInstance(env: Env, instanceName: string): ServedInstance {
  const { instances } = servedConfig(env);
  const config = instances.get(instanceName);
  if (config === undefined) {
    const known = [...instances.keys()].map((name) => `"${name}"`).join(", ");
    throw new ConnectError(
      `unknown instance_name "${instanceName.slice(0, 256)}"; known: ${known}`,
      Code.InvalidArgument,
    );
  }
  const blobs = openBlobStore(env, config);
  return { config, blobs, actionCache: openActionCache(env, config, blobs), digestFunctions: config.digestFunctions };
}
