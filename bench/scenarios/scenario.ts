import type {
  Platform_Property,
  ServerCapabilities,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Caller } from "../calls/caller.ts";
import type { BlobSource } from "../fixtures/blobs.ts";
import type { LoopResult, Operation } from "../load/closed-loop.ts";

/** What the server must offer. A scenario whose need isn't met is skipped. */
export type Need = "execution" | "action cache updates";

/** The physical limit that a scenario is held against. */
export type BaselineName = "local spawn" | "bare dispatch" | "local copy-and-run" | RawR2Name | "bare query";

/** What a bare Worker does with R2: with an object as one, or with one in parts of the size that Remex would give them. */
export type RawR2Name = "raw R2 put" | "raw R2 multipart put" | "raw R2 get" | "raw R2 multipart get";

/** Something that a client does again and again. */
export interface Scenario {
  readonly name: string;
  /** What one operation is, for people. */
  readonly operation: string;
  /** How many operations are under way at any time. */
  readonly concurrency: number;
  /** How many operations a run has. */
  readonly operations: number;
  readonly needs?: readonly Need[];
  /** Blob bytes that one operation moves, where a rate of bytes says something. */
  readonly bytes?: number;
  /** How many blobs one operation moves or looks up; the bill is divided by it. */
  readonly blobs?: number;
  /** What it is held against; what says most comes first. */
  readonly baselines?: readonly BaselineName[];
  /** The action, for a baseline that runs it on this machine. */
  readonly local?: LocalAction;
  /** It is also run straight at the Worker, where that is known, to tell what the bridge costs. */
  readonly direct?: boolean;
  /** Stores what the operations need. */
  prepare(target: Target): Promise<Workload>;
}

export interface LocalAction {
  readonly arguments: readonly string[];
  /** How many files it has in `in/`. */
  readonly inputs: number;
  /** Of each. */
  readonly inputBytes: number;
}

export interface Workload {
  /** Makes ready that many operations, outside of the clock. */
  operations(caller: Caller, count: number): Promise<Operation[]> | Operation[];
  /** What a run says beyond its speed, by name. */
  figures?(run: LoopResult): Readonly<Record<string, number>>;
}

/** Where scenarios store what they need. */
export interface Target {
  readonly caller: Caller;
  readonly instanceName: string;
  readonly capabilities: ServerCapabilities;
  readonly blobs: BlobSource;
  /** The platform properties of every action. */
  readonly platform: readonly Pick<Platform_Property, "name" | "value">[];
}

/** How large everything is: what a figure is when the bench is to measure, or to show in seconds that it works. */
export interface Scale {
  readonly name: ScaleName;
  operations(full: number): number;
  /** Of things in one operation: digests, directories, files. */
  count(full: number): number;
  bytes(full: number): number;
}

export type ScaleName = "full" | "tiny";

export const SCALES: Readonly<Record<ScaleName, Scale>> = {
  full: { name: "full", operations: unchanged, count: unchanged, bytes: unchanged },
  tiny: {
    name: "tiny",
    operations: (full) => Math.min(full, 4),
    count: (full) => Math.min(full, 20),
    bytes: (full) => Math.min(full, 300_000),
  },
};

function unchanged(full: number): number {
  return full;
}

/** The same operation each time. */
export function repeat(operation: Operation, count: number): Operation[] {
  return new Array<Operation>(count).fill(operation);
}
