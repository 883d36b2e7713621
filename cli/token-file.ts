import { readFileSync } from "node:fs";
import { Option } from "commander";
import { errorMessage, Fault } from "./fault.ts";

/** `--token-file`: a token is never an argument, which other users of the machine could see. */
export function tokenFileOption(): Option {
  return new Option("--token-file <file>", "a file that holds the token by which the agent is known to the Worker").env(
    "REMEX_TOKEN_FILE",
  );
}

/**
 * The token in the file, or undefined if none is named.
 * @throws Fault if the file can't be read or holds no token.
 */
export function readTokenFile(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault(`cannot read the token (${errorMessage(error)}); name another file with --token-file`);
  }
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Fault(`${path} does not hold a token: one line of printable ASCII without spaces`);
}
