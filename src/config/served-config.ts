import bundledText from "../../remex.json5";
import type { Env } from "../env.ts";
import { parseConfig, type Config } from "./config.ts";

let parsed: { readonly text: string; readonly config: Config } | undefined;

/**
 * The configuration that this Worker serves: that of the REMEX_CONFIG binding, or else the file bundled at deploy time.
 * @throws ConfigError
 */
export function servedConfig(env: Env): Config {
  const text = env.REMEX_CONFIG ?? bundledText;
  if (parsed?.text !== text) parsed = { text, config: parseConfig(text) };
  return parsed.config;
}
