import type { Logger } from "pino";
import type { Cas } from "../blobs/cas.ts";
import type { DiskSpace } from "../disk-space.ts";
import type { DirectoryCache } from "../inputs/directory-cache.ts";
import type { FileCache } from "../inputs/file-cache.ts";
import type { InputRoots } from "../inputs/input-roots.ts";
import type { LaidOutDirectories } from "../inputs/laid-out-directories.ts";
import type { PlacementMode } from "../inputs/file-placement.ts";
import type { AgentLimits } from "../limits.ts";
import type { PlatformProperty } from "../platform-properties.ts";
import type { PersistentWorkers } from "../persistent-workers/persistent-workers.ts";
import type { Sandbox } from "../sandbox.ts";
import type { Runner } from "../runner/runner.ts";
import type { LiveOutput } from "./live-output.ts";
import type { WorkDirectory } from "../work-directory.ts";

/** What all leases of an agent share. */
export interface Machine {
  /** As ExecutedActionMetadata.worker names it. */
  readonly name: string;
  readonly instanceName: string;
  readonly cas: Cas;
  readonly directories: DirectoryCache;
  readonly files: FileCache;
  readonly inputRoots: InputRoots;
  readonly placement: PlacementMode;
  /** Undefined where that is not safe. */
  readonly laidOut: LaidOutDirectories | undefined;
  readonly runner: Runner;
  /** Undefined where none may be started. */
  readonly persistentWorkers: PersistentWorkers | undefined;
  readonly sandbox: Sandbox | undefined;
  /** What the machine offers. */
  readonly properties: readonly PlatformProperty[];
  /** A program that is given each command to run, as further arguments. */
  readonly entrypoint: string | undefined;
  /** What a command's environment has beside what it declares, which goes before. */
  readonly additionalEnvironment: Readonly<Record<string, string>>;
  readonly liveOutput: LiveOutput;
  readonly work: WorkDirectory;
  readonly disk: DiskSpace;
  readonly limits: AgentLimits;
  readonly logger: Logger;
}
