import type { Tracer } from "@opentelemetry/api";
import type { Logger } from "pino";
import type { PlacementMode } from "./inputs/file-placement.ts";
import type { AgentLimits } from "./limits.ts";
import type { PlatformProperty } from "./platform-properties.ts";
import type { SandboxMode } from "./sandbox.ts";

export interface AgentOptions {
  /** The Worker, `http:` or `https:`. */
  readonly endpoint: URL;
  readonly instanceName: string;
  /** What a person calls the machine. */
  readonly name: string;
  /** The agent's version, for people. */
  readonly version: string;
  /** Made if it is not there. Agents may share one, but gain nothing by it. */
  readonly workDirectory: string;
  /** Beside those that the agent finds by itself; a name that is given replaces what was found. */
  readonly properties?: readonly PlatformProperty[];
  /** How many actions may run at once; 0 leaves it to the scheduler's minimum properties. Default: one for each CPU. */
  readonly maxActions?: number;
  /** How many persistent workers may be kept; 0 for none. Default: one for each CPU. */
  readonly maxPersistentWorkers?: number;
  /** The bearer token, as it is at the time: asked for each connection and call, since tokens expire and are renewed. */
  readonly token?: (() => string) | undefined;
  readonly logger: Logger;
  /** Makes spans of leases whose calls are traced. */
  readonly tracer?: Tracer | undefined;
  /** Of the cache of input files. Default: 10 GiB. */
  readonly cacheMaxBytes?: number;
  /**
   * How input files come from the cache into an action's directory. By default hard links, but copies where this
   * process may write files whatever their mode (as root) and commands have no sandbox that takes that from them: a
   * command could change the cache through a link.
   */
  readonly placement?: PlacementMode;
  /** Default: `none`. */
  readonly sandbox?: SandboxMode;
  /** What commands see of the machine in a sandbox, read-only: absolute paths. Default: DEFAULT_SANDBOX_PATHS. */
  readonly sandboxPaths?: readonly string[];
  /** Files of the agent's own, absolute, that commands in a sandbox don't see, such as its token's. */
  readonly secretPaths?: readonly string[];
  /**
   * Linux: with `auto` each command has a control group, where the agent may make some: it bounds what the command asks
   * for by cpu_count and memory_kb, and nothing in it survives the command. Default: `none`.
   */
  readonly controlGroups?: "auto" | "none";
  /** A program that is given each command to run, as further arguments. In the sandbox, if there is one. */
  readonly entrypoint?: string;
  /** What a command's environment has beside what it declares, which goes before. */
  readonly additionalEnvironment?: Readonly<Record<string, string>>;
  /** How long a draining agent lets actions go on before it hands them back. Default: 60 s. */
  readonly drainTimeoutMs?: number;
  /** Aborts when the agent is to stop at once: running actions are killed and nothing more is said to the object. */
  readonly killSignal?: AbortSignal;
  /** Called once, when the object has first welcomed the agent. */
  readonly onReady?: () => void;
  readonly limits?: Partial<AgentLimits>;
}
