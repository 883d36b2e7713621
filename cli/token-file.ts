import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Option } from "commander";
import type { Logger } from "pino";
import { errorMessage, Fault } from "./fault.ts";

/** How old what was read of a token's file may be when it is used. */
const REREAD_MS = 10_000;

/**
 * `--token-file`: a token is never an argument, which other users of the machine could see.
 * @param use what it is for
 */
export function tokenFileOption(
  use = "the token by which the agent is known to the Worker; it is read again when it is renewed",
): Option {
  return new Option("--token-file <file>", `a file that holds ${use}`).env("REMEX_TOKEN_FILE");
}

/**
 * The token in the file, or undefined if none is named, read again now and then, since tokens expire and are renewed.
 * While a new one can't be read, the last one is given.
 * @throws Fault if the file can't be read at first, or holds no token then.
 */
export function renewedToken(path: string, logger: Logger): () => string;
export function renewedToken(path: string | undefined, logger: Logger): (() => string) | undefined;
export function renewedToken(path: string | undefined, logger: Logger): (() => string) | undefined {
  if (path === undefined) return undefined;
  let token = readToken(path);
  let readMs = performance.now();
  return () => {
    if (performance.now() - readMs < REREAD_MS) return token;
    readMs = performance.now();
    try {
      token = readToken(path);
    } catch (error) {
      logger.warn({ err: error }, "the token can't be read again; the last one is used");
    }
    return token;
  };
}

/** The token's file, if one is named, as actions in a sandbox are not to see it. */
export function secretPaths(tokenFile: string | undefined): string[] {
  return tokenFile === undefined ? [] : [resolve(tokenFile)];
}

/**
 * The token in the file, or undefined if none is named, for a command that is soon over.
 * @throws Fault if the file can't be read or holds no token.
 */
export function readTokenFile(path: string | undefined): string | undefined {
  return path === undefined ? undefined : readToken(path);
}

function readToken(path: string): string {
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
