// Linux control groups, version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html
//
// Each command has a group of its own where the agent may make groups. Killing the group reaches every process of the
// command, whatever it has done to hide; and where the controllers are there, the group bounds its memory and CPUs.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errorMessage, systemErrorCode } from "../system-error.ts";
import type { MemoryShortage } from "./memory-shortage.ts";

/** What a command may use. What is left out is not bounded. */
export interface ResourceLimits {
  readonly memoryBytes?: number;
  /** How many CPUs it may keep busy. */
  readonly cpus?: number;
}

const CONTROLLERS = ["memory", "cpu"] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** Where an agent makes groups, and what they can bound. */
export interface ControlGroups {
  readonly directory: string;
  readonly controllers: readonly Controller[];
  /** Why nothing is bounded, in words; undefined if all is. */
  readonly lacking: string | undefined;
}

/** There are no control groups to be had. The message says why. */
export class ControlGroupsError extends Error {
  override readonly name = "ControlGroupsError";
}

const REMEDY = "give the agent one of its own, as a service with Delegate=yes";
const AGENT_GROUP = "agent";
const CPU_PERIOD_US = 100_000;

/** How often, and how many times, the removal of a group is tried whose processes are on their way out. */
const REMOVAL_INTERVAL_MS = 20;
const REMOVAL_ATTEMPTS = 50;

/**
 * Makes the group in which this process makes those of commands, and removes what agents that are gone left.
 *
 * A group with processes in it can't bound its children, so this process moves into a group beside them. That is no use
 * where others share its group: then nothing is bounded, and killing still works.
 * @param parent the group that this process is in
 * @throws ControlGroupsError
 */
export async function openControlGroups(parent = ownGroup()): Promise<ControlGroups> {
  try {
    for (const name of readdirSync(parent)) if (isLeftover(name)) await removeGroups(join(parent, name));
    const directory = join(parent, `remex-${process.pid}-${++made}`);
    mkdirSync(directory);
    if (existsSync(join(directory, "cgroup.kill"))) return { directory, ...bindControllers(parent, directory) };
    rmdirSync(directory);
    throw new ControlGroupsError("the kernel is older than 5.14, and can't kill a control group");
  } catch (error) {
    throw error instanceof ControlGroupsError
      ? error
      : new ControlGroupsError(
          `no control group can be made in ${parent} (${systemErrorCode(error) ?? errorMessage(error)}): ${REMEDY}`,
        );
  }
}

/** By this process. */
let made = 0;

/** Ends what is left in the groups, and removes them. */
export async function closeControlGroups({ directory }: ControlGroups): Promise<void> {
  try {
    moveTo(parentOf(directory));
  } catch {
    // It bounds its children, and so may have no process: the next agent removes this one's group.
    return;
  }
  await removeGroups(directory);
}

/** As an argument for the runner process. */
export function formatControlGroups({ directory, controllers }: ControlGroups): string {
  return [...controllers, directory].join(":");
}

/** What `formatControlGroups` made. */
export function parseControlGroups(text: string): ControlGroups {
  const controllers = CONTROLLERS.filter((name) => text.split("/")[0]?.split(":").includes(name));
  return { directory: text.slice(text.indexOf("/")), controllers, lacking: undefined };
}

/** Kills what the commands have left, all of it, and removes their groups in the background. */
export function endAllGroups({ directory }: ControlGroups): void {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name === AGENT_GROUP) continue;
    const group = join(directory, entry.name);
    killGroup(group);
    void removeGroup(group);
  }
}

/** The group of one command. */
export class ControlGroup {
  readonly #groups: ControlGroups;
  readonly #directory: string;
  #hasFewCpus = false;

  /**
   * Makes it.
   * @param name no other group's
   * @throws ControlGroupsError
   */
  constructor(groups: ControlGroups, name: string) {
    this.#groups = groups;
    this.#directory = join(groups.directory, name);
    blamingGroup(() => {
      mkdirSync(this.#directory);
    });
  }

  /**
   * Bounds it. Not before this process has come back from it, which would else be killed in it for want of memory.
   * @throws ControlGroupsError
   */
  bound({ memoryBytes, cpus }: ResourceLimits): void {
    const { controllers } = this.#groups;
    if (controllers.includes("memory")) {
      // One process fewer, at this limit or the machine's, would leave the rest to fail in ways that nobody understands.
      this.#write("memory.oom.group", "1");
      if (memoryBytes !== undefined) {
        // Else the limit would only be where the disk begins to be used for memory. There is no such file without swap.
        if (existsSync(join(this.#directory, "memory.swap.max"))) this.#write("memory.swap.max", "0");
        this.#write("memory.max", String(memoryBytes));
      }
    }
    if (cpus !== undefined && controllers.includes("cpu")) {
      this.#write("cpu.max", `${Math.max(1_000, Math.round(cpus * CPU_PERIOD_US))} ${CPU_PERIOD_US}`);
      this.#hasFewCpus = true;
    }
  }

  /**
   * Calls `spawn`, whose child is in the group from its first instruction on. This process goes there and back for that:
   * a child that is moved later may have children already.
   * @throws ControlGroupsError, and what `spawn` throws
   */
  around<Result>(spawn: () => Result): Result {
    blamingGroup(() => {
      moveTo(this.#directory);
    });
    try {
      return spawn();
    } finally {
      const agentGroup = join(this.#groups.directory, AGENT_GROUP);
      blamingGroup(() => {
        moveTo(existsSync(agentGroup) ? agentGroup : parentOf(this.#groups.directory));
      });
    }
  }

  /** Kills all that is in it. */
  kill(): void {
    // Dying takes CPU time, too: many processes with little of it take longer than is waited for them.
    if (this.#hasFewCpus) writeIfThere(join(this.#directory, "cpu.max"), `max ${CPU_PERIOD_US}`);
    killGroup(this.#directory);
  }

  /** Whether all its processes have gone. */
  get isEmpty(): boolean {
    return /^populated 0$/m.test(readFileSync(join(this.#directory, "cgroup.events"), "utf8"));
  }

  /** Why the kernel killed processes of it for want of memory; undefined if it did not. */
  get memoryShortage(): MemoryShortage | undefined {
    if (!this.#groups.controllers.includes("memory")) return undefined;
    const events = readFileSync(join(this.#directory, "memory.events"), "utf8");
    if (!/^oom_kill [1-9]/m.test(events)) return undefined;
    // Counted only where the group's own limit is what was reached.
    return /^oom [1-9]/m.test(events) ? "command" : "machine";
  }

  /** Removes it in the background, once it is empty. What stays is removed when the next agent starts. */
  remove(): void {
    void removeGroup(this.#directory);
  }

  #write(file: string, text: string): void {
    blamingGroup(() => {
      writeFileSync(join(this.#directory, file), text);
    });
  }
}

/** Has the groups in `directory` bounded by what controllers there are. */
function bindControllers(parent: string, directory: string): Pick<ControlGroups, "controllers" | "lacking"> {
  const available = readFileSync(join(parent, "cgroup.controllers"), "utf8").split(/\s+/);
  const controllers = CONTROLLERS.filter((controller) => available.includes(controller));
  const absent = CONTROLLERS.filter((controller) => !controllers.includes(controller));
  const lacking = absent.length === 0 ? undefined : `the group ${parent} has no controller for ${absent.join(" and ")}`;
  if (controllers.length === 0) return { controllers, lacking };
  const agentGroup = join(directory, AGENT_GROUP);
  try {
    mkdirSync(agentGroup);
    moveTo(agentGroup);
    for (const group of [parent, directory]) {
      writeFileSync(join(group, "cgroup.subtree_control"), controllers.map((name) => `+${name}`).join(" "));
    }
    return { controllers, lacking };
  } catch (error) {
    try {
      moveTo(parent);
      rmdirSync(agentGroup);
    } catch {
      // It stays where it is.
    }
    const why =
      systemErrorCode(error) === "EBUSY"
        ? `other processes are in the agent's control group: ${REMEDY}`
        : errorMessage(error);
    return { controllers: [], lacking: why };
  }
}

/** @throws ControlGroupsError */
function ownGroup(): string {
  if (process.platform !== "linux") throw new ControlGroupsError("control groups are for Linux only");
  const path = /^0::(.*)$/m.exec(readText("/proc/self/cgroup"))?.[1];
  // Fields: id, parent, device, root, mount point, …, "-", file system.
  const mounts = readText("/proc/self/mountinfo").split("\n");
  const fields = mounts.find((line) => / - cgroup2 /.test(line))?.split(" ") ?? [];
  const [, , , root, mountPoint] = fields;
  if (path === undefined || root === undefined || mountPoint === undefined) {
    throw new ControlGroupsError("control groups of version 2 are not mounted");
  }
  return join(mountPoint, root !== "/" && path.startsWith(root) ? path.slice(root.length) : path);
}

function parentOf(directory: string): string {
  return join(directory, "..");
}

function moveTo(group: string): void {
  // 0 is whoever writes it, with all its threads.
  writeFileSync(join(group, "cgroup.procs"), "0");
}

/** What fails in `step` is not taken for a failure to start the program, of which the codes would be the same. */
function blamingGroup(step: () => void): void {
  try {
    step();
  } catch (error) {
    throw new ControlGroupsError(`the command's control group: ${errorMessage(error)}`);
  }
}

function killGroup(directory: string): void {
  writeIfThere(join(directory, "cgroup.kill"), "1");
}

function writeIfThere(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}

/** Whether a group is that of an agent that is gone. */
function isLeftover(name: string): boolean {
  const [, pid, number] = /^remex-(\d+)-(\d+)$/.exec(name) ?? [];
  if (pid === undefined) return false;
  // In a container the process that was killed and its successor often have the same id.
  return Number(pid) === process.pid ? Number(number) > made : !existsSync(`/proc/${pid}`);
}

/** Kills what is in a group and those below it, and removes them all. */
async function removeGroups(directory: string): Promise<void> {
  killGroup(directory);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeGroups(join(directory, entry.name));
  }
  await removeGroup(directory);
}

async function removeGroup(directory: string): Promise<void> {
  for (let attempt = 1; attempt <= REMOVAL_ATTEMPTS; attempt++) {
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      if (systemErrorCode(error) !== "EBUSY") return;
      await delay(REMOVAL_INTERVAL_MS);
    }
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
