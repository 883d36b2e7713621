import { servedConfig } from "../config/served-config.ts";
import type { Env } from "../env.ts";
import type { OperationName } from "../instance-object/operation-name.ts";
import { operationPath } from "./paths.ts";

/**
 * The address of an operation's page, for messages to people: at the configured public URL, or where the request came to.
 * @param requestUrl the whole URL of the client's request
 */
export function operationLink(env: Env, requestUrl: string, operation: OperationName): string {
  return (servedConfig(env).publicUrl ?? new URL(requestUrl).origin) + operationPath(operation);
}
