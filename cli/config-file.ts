import { readFileSync } from "node:fs";
import { type Config, ConfigError, parseConfig } from "../src/config/config.ts";
import { errorMessage, Fault } from "./fault.ts";

export interface ConfigFile {
  readonly text: string;
  readonly config: Config;
}

/**
 * Reads and checks the configuration of the service.
 * @throws Fault if the file can't be read or isn't valid.
 */
export function readConfigFile(path: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault(`cannot read the configuration (${errorMessage(error)}); name another file with --config`);
  }
  try {
    return { text, config: parseConfig(text) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new Fault(`${path} is not valid: ${error.message}`);
  }
}
