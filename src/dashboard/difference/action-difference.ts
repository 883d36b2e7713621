import { bytesToHex } from "@noble/hashes/utils.js";
import type { Platform } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { StoredAction } from "../stored-action.ts";

/** One thing that two actions differ in; what only one of them has is undefined in the other. */
export interface Difference {
  readonly what:
    | "argument"
    | "environment variable"
    | "platform property"
    | "output"
    | "working directory"
    | "time limit"
    | "salt"
    | "do_not_cache"
    | "input";
  /** Which one: a variable's or property's name, a path; empty where there is only one. */
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Arguments are compared one by one up to so many; command lines that are longer are mostly lists of inputs. */
const MAX_COMPARED_ARGUMENTS = 1000;

/** What two actions differ in, their input trees aside. Commands that are not stored any more are not compared. */
export function actionDifferences(before: StoredAction, after: StoredAction): Difference[] {
  const { command: commandBefore } = before;
  const { command: commandAfter } = after;
  const differences: Difference[] = [];
  if (commandBefore !== undefined && commandAfter !== undefined) {
    differences.push(
      ...argumentDifferences(commandBefore.arguments, commandAfter.arguments),
      ...namedDifferences(
        "environment variable",
        pairs(commandBefore.environmentVariables),
        pairs(commandAfter.environmentVariables),
      ),
      ...namedDifferences("output", outputsOf(commandBefore), outputsOf(commandAfter)),
      ...valueDifference("working directory", commandBefore.workingDirectory, commandAfter.workingDirectory),
    );
  }
  return [
    ...differences,
    ...namedDifferences(
      "platform property",
      properties(before.action.platform ?? commandBefore?.platform),
      properties(after.action.platform ?? commandAfter?.platform),
    ),
    ...valueDifference("time limit", secondsOf(before), secondsOf(after)),
    ...valueDifference("salt", saltOf(before), saltOf(after)),
    ...valueDifference("do_not_cache", String(before.action.doNotCache), String(after.action.doNotCache)),
  ];
}

/**
 * Arguments that only one of two command lines has, in the order of the lines. Those that both have are matched as long
 * subsequences: what is alike at both ends is taken off first, and of the middle the shortest edit is found.
 */
export function argumentDifferences(before: readonly string[], after: readonly string[]): Difference[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let common = 0;
  const most = Math.min(before.length, after.length) - start;
  while (common < most && before[before.length - 1 - common] === after[after.length - 1 - common]) common++;
  const a = before.slice(start, before.length - common).slice(0, MAX_COMPARED_ARGUMENTS);
  const b = after.slice(start, after.length - common).slice(0, MAX_COMPARED_ARGUMENTS);

  // lengths[i][j]: the longest common subsequence of a from i and b from j on.
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const differences: Difference[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i++;
      j++;
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) {
      differences.push({ what: "argument", name: "", before: a[i++], after: undefined });
    } else {
      differences.push({ what: "argument", name: "", before: undefined, after: b[j++] });
    }
  }
  return paired(differences);
}

/** An argument that is gone and the one that came in its place are one difference. */
function paired(differences: readonly Difference[]): Difference[] {
  const result: Difference[] = [];
  for (const difference of differences) {
    const last = result.at(-1);
    if (last?.after === undefined && last?.before !== undefined && difference.before === undefined) {
      result[result.length - 1] = { ...last, after: difference.after };
    } else {
      result.push(difference);
    }
  }
  return result;
}

function namedDifferences(
  what: Difference["what"],
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Difference[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => ({ what, name, before: before.get(name), after: after.get(name) }));
}

function valueDifference(what: Difference["what"], before: string, after: string): Difference[] {
  return before === after ? [] : [{ what, name: "", before, after }];
}

function pairs(variables: readonly { readonly name: string; readonly value: string }[]): Map<string, string> {
  return new Map(variables.map(({ name, value }) => [name, value]));
}

/** A property may have several values. */
function properties(platform: Platform | undefined): Map<string, string> {
  const byName = Map.groupBy(platform?.properties ?? [], ({ name }) => name);
  return new Map(Array.from(byName, ([name, all]) => [name, all.map(({ value }) => value).join(", ")]));
}

function outputsOf({ outputDirectories, outputFiles, outputPaths }: NonNullable<StoredAction["command"]>) {
  return new Map([...outputPaths, ...outputFiles, ...outputDirectories].map((path) => [path, "declared"]));
}

function secondsOf({ action: { timeout } }: StoredAction): string {
  return timeout === undefined ? "none" : `${Number(timeout.seconds) + timeout.nanos / 1e9} s`;
}

function saltOf({ action: { salt } }: StoredAction): string {
  return salt.length === 0 ? "none" : `${salt.length} bytes, ${bytesToHex(salt.slice(0, 32))}`;
}
