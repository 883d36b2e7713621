import { join } from "node:path";
import type { Lease } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { Digest } from "../../src/digest/digest.ts";
import { fetchBlobs, fetchBytes } from "../blobs/fetch-blobs.ts";
import { inputFiles, walkInputTree, type InputTree } from "../inputs/input-tree.ts";
import { materializeTree } from "../inputs/materialize-tree.ts";
import type { Pins } from "../inputs/pins.ts";
import { declaredOutputs, workingDirectoryFromRoot, type DeclaredOutput } from "../outputs/declared-outputs.ts";
import { prepareOutputDirectories } from "../outputs/prepare-outputs.ts";
import { missingInputs } from "../refusal.ts";
import { commandArguments, commandEnvironment } from "./command-environment.ts";
import { leasedAction, type LeasedAction } from "./leased-action.ts";
import type { Machine } from "./machine.ts";
import { hireWorker, type HiredWorker } from "./worker-run.ts";

/** An action whose command can be started. */
export interface ReadyAction extends LeasedAction {
  /** The input root on disk, without symlinks in its path. */
  readonly root: string;
  readonly workingDirectory: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly outputs: readonly DeclaredOutput[];
  /** What is to do the action; undefined for a process of its own. */
  readonly hired: HiredWorker | undefined;
  readonly tree: InputTree;
  /** Of the pins that held the tree's files. */
  readonly usedAt: number;
}

/**
 * Reads and checks the action of a lease, and lays its inputs out in `{attempt}/root`, or in the root of a persistent
 * worker. Whoever called this releases that worker.
 * @param mayHire whether a persistent worker may do the action, if it is for one
 * @throws Refusal
 */
export async function setUpInputs(
  lease: Lease,
  attempt: string,
  machine: Machine,
  mayHire: boolean,
  signal: AbortSignal,
): Promise<ReadyAction> {
  const { cas, files, inputRoots, laidOut, persistentWorkers, placement } = machine;
  const action = await leasedAction(lease, async (digest) => {
    let found: Uint8Array | undefined;
    await fetchBytes(cas, [digest], signal, (_, bytes) => {
      found = bytes;
    });
    return found;
  });
  // Before anything is fetched for it, all that can be wrong with the command itself.
  const ready = {
    ...action,
    arguments: commandArguments(action.command),
    environment: commandEnvironment(action.command),
    outputs: declaredOutputs(action.command),
  };
  const fromRoot = workingDirectoryFromRoot(action.command);
  const pins = files.newPins();
  try {
    const tree = await fetchInputs(action.inputRoot, pins, machine, signal);
    const hired = mayHire
      ? await hireWorker({ ...ready, workingDirectoryFromRoot: fromRoot }, tree, machine, signal)
      : undefined;
    const root = hired?.worker.root ?? join(attempt, "root");
    try {
      if (hired === undefined) await materializeTree(tree, root, files, placement, signal, { laidOut });
      await prepareOutputDirectories(root, tree, fromRoot, ready.outputs);
    } catch (error) {
      if (hired !== undefined) persistentWorkers?.release(hired.worker);
      throw error;
    }
    inputRoots.use(action.inputRoot);
    return { ...ready, root, workingDirectory: join(root, fromRoot), hired, tree, usedAt: pins.usedAt };
  } finally {
    // What has been linked or copied needs the cache no more.
    pins.release();
  }
}

/**
 * Brings an input tree's files into the cache.
 * @throws Refusal FAILED_PRECONDITION naming every blob of the tree that is missing, directories and files
 */
async function fetchInputs(root: Digest, pins: Pins, machine: Machine, signal: AbortSignal): Promise<InputTree> {
  const { cas, directories, files, limits } = machine;
  const { tree, missing } = await walkInputTree(root, directories, limits.inputTree, (digests, take) =>
    fetchBytes(cas, digests, signal, take),
  );
  const wanted = [...inputFiles(tree)];
  if (missing.length > 0) {
    // The action can't run: what else is missing is all that matters.
    const missingFiles = await cas.batches.findMissing(files.absent(wanted), signal);
    throw missingInputs([...missing, ...missingFiles]);
  }
  const missingFiles = await files.pin(wanted, pins, (digests, take) => fetchBlobs(cas, digests, signal, take), signal);
  if (missingFiles.length > 0) throw missingInputs(missingFiles);
  return tree;
}
