import { execFileSync } from "node:child_process";

/** Why tests of the sandbox can't run on this machine; undefined if they can. */
export const lackingForSandbox = whatIsLacking();

if (lackingForSandbox !== undefined) {
  console.warn(`SKIPPING TESTS: the sandbox, since bubblewrap does not work here: ${lackingForSandbox}`);
}

function whatIsLacking(): string | undefined {
  try {
    execFileSync("bwrap", ["--ro-bind", "/", "/", "--unshare-all", "true"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
