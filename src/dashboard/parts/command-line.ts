import type { Command } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/**
 * The command as one line for a POSIX shell, to be run in a copy of the input root: the working directory, an environment
 * of nothing but the command's variables, and the arguments.
 */
export function commandLine({ arguments: args, environmentVariables, workingDirectory }: Command): string {
  const variables = environmentVariables.map(({ name, value }) => shellQuoted(`${name}=${value}`));
  // env(1) would take a program whose name has a = for one more variable.
  const program = args[0]?.includes("=") === true ? ["sh", "-c", `'exec "$0" "$@"'`] : [];
  const line = ["env", "-i", ...variables, ...program, ...args.map(shellQuoted)].join(" ");
  const directory = workingDirectory === "" ? "" : `cd ${shellQuoted(workingDirectory)} && `;
  return directory + line;
}

/** A word that a POSIX shell reads as exactly `text`. */
export function shellQuoted(text: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text) && !text.startsWith("~")) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
