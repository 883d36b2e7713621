import { Code, ConnectError } from "@connectrpc/connect";
import { authorizedInstance, callerOf } from "../access/authorized-instance.ts";
import { servedConfig } from "../config/served-config.ts";
import type { StoreConfig } from "../config/schema.ts";
import type { Env } from "../env.ts";

/**
 * The configuration of a store, for a caller who may operate every instance that uses it.
 * @throws ConnectError UNAUTHENTICATED or PERMISSION_DENIED if it may not, INVALID_ARGUMENT if no instance uses such a store
 */
export async function operatedStore(env: Env, headers: Headers, store: string): Promise<StoreConfig> {
  const caller = await callerOf(env, headers);
  const instances = [...servedConfig(env).instances.values()];
  const users = instances.filter(({ storeName }) => storeName === store);
  for (const { name } of users) authorizedInstance(env, caller, name, "operate");
  const [user] = users;
  if (user !== undefined) return user.store;
  const known = [...new Set(instances.map(({ storeName }) => storeName))].join(", ");
  throw new ConnectError(
    `no instance uses a store "${store.slice(0, 256)}"; the stores in use are ${known}`,
    Code.InvalidArgument,
  );
}
