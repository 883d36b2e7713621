import type { Backoff } from "./backoff.ts";
import type { RetryPolicy } from "./blobs/call-retries.ts";
import type { InputTreeLimits } from "./inputs/input-tree.ts";
import type { PersistentWorkerLimits } from "./persistent-workers/persistent-workers.ts";

/** What bounds an agent. Each may be set for a test or an unusual machine; the defaults suit a build machine. */
export interface AgentLimits {
  /** Of all that an action needs before its command can start. */
  readonly inputFetchTimeoutMs: number;
  /** Of a command whose lease states none. */
  readonly commandTimeoutMs: number;
  /** Of all that comes after the command: reading its outputs and storing them. */
  readonly outputUploadTimeoutMs: number;
  /** A command that writes more than this to stdout, or to stderr, is killed. */
  readonly maxStdioBytes: number;
  /** Of a message to the object: a result with more outputs than fit is refused. */
  readonly maxMessageBytes: number;
  /** Of one call to the CAS that is no stream, and of the silence of a stream. */
  readonly callTimeoutMs: number;
  /** How much of a blob one request carries. Below the 100 MB at which Cloudflare's usual plans end a request. */
  readonly maxRequestBytes: number;
  readonly callRetries: RetryPolicy;
  readonly reconnect: Backoff;
  /** From the opening of a socket to the object's Welcome. */
  readonly welcomeTimeoutMs: number;
  /** How long a draining agent waits for the object to acknowledge its last results. */
  readonly acknowledgementTimeoutMs: number;
  /** A phase shorter than this is not reported on its own: each message costs, and most actions are short. */
  readonly progressDelayMs: number;
  readonly inputTree: InputTreeLimits;
  /** Files, directories and symlinks in the input directories that are kept in memory. */
  readonly directoryCacheEntries: number;
  /** Files, directories and symlinks in the input directories that are kept on disk for the next action. */
  readonly laidOutNodes: number;
  /** An agent whose disk has less free space takes no new action. */
  readonly minFreeBytes: number;
  /** How often it looks at that. */
  readonly diskCheckIntervalMs: number;
  readonly persistentWorkers: PersistentWorkerLimits;
}

export const DEFAULT_LIMITS: AgentLimits = {
  inputFetchTimeoutMs: 10 * 60_000,
  commandTimeoutMs: 60 * 60_000,
  outputUploadTimeoutMs: 10 * 60_000,
  maxStdioBytes: 64 * 1024 * 1024,
  maxMessageBytes: 1024 * 1024,
  callTimeoutMs: 60_000,
  maxRequestBytes: 95_000_000,
  callRetries: { attempts: 6, baseMs: 200, maxMs: 10_000 },
  reconnect: { baseMs: 250, maxMs: 20_000 },
  welcomeTimeoutMs: 15_000,
  acknowledgementTimeoutMs: 5_000,
  progressDelayMs: 100,
  inputTree: { maxNodes: 1_000_000, maxDepth: 1_000, maxDirectoryBytes: 64 * 1024 * 1024 },
  directoryCacheEntries: 200_000,
  laidOutNodes: 200_000,
  minFreeBytes: 64 * 1024 * 1024,
  diskCheckIntervalMs: 10_000,
  persistentWorkers: { maxRequests: 1_000, idleMs: 10 * 60_000, failureMemoryMs: 10 * 60_000 },
};
