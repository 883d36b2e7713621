import bundledText from "../../remex.json5";
import type { Env } from "../env.ts";
import { ROLES } from "../access/roles.ts";
import { grantsAnything, parseConfig, type Config } from "./config.ts";

let parsed: { readonly text: string; readonly roles: string | undefined; readonly config: Config } | undefined;

/**
 * The configuration that this Worker serves: that of the REMEX_CONFIG binding, or else the file bundled at deploy time.
 * @throws ConfigError
 */
export function servedConfig(env: Env): Config {
  const text = env.REMEX_CONFIG ?? bundledText;
  const roles = env.REMEX_ANONYMOUS_ROLES;
  if (parsed?.text !== text || parsed.roles !== roles) {
    parsed = { text, roles, config: withLocalAccess(parseConfig(text), roles) };
  }
  return parsed.config;
}

/** On one's own machine, a configuration that says nothing of access is open to whoever reaches it. */
function withLocalAccess(config: Config, roles: string | undefined): Config {
  if (roles === undefined || grantsAnything(config.access)) return config;
  const anonymous = { "*": ROLES.filter((role) => roles.split(",").includes(role)) };
  return { ...config, access: { ...config.access, anonymous } };
}
