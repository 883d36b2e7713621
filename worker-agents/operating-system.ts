// What differs between operating systems, but for processes (runner/process-group.ts).

import { resolve, sep, toNamespacedPath } from "node:path";

const windows = process.platform === "win32";

/** The value of the platform property OSFamily. */
export function osFamily(platform: NodeJS.Platform = process.platform): string {
  switch (platform) {
    case "darwin":
      return "macos";
    case "win32":
      return "windows";
    default:
      return platform;
  }
}

/** The value of the platform property Arch, as `uname -m` says it on Linux. */
export function machineArchitecture(arch: string = process.arch): string {
  switch (arch) {
    case "x64":
      return "x86_64";
    case "arm64":
      return "aarch64";
    case "ia32":
      return "i686";
    default:
      return arch;
  }
}

/** Whether a file with this `st_mode` is executable. Windows has no such bit: there every file may be run. */
export function isExecutable(mode: number): boolean {
  return windows || (mode & 0o100) !== 0;
}

/** Whether a file that was made executable, or not, may have this `st_mode`. */
export function mayBeExecutable(mode: number, executable: boolean): boolean {
  return windows || isExecutable(mode) === executable;
}

/** Names that Windows takes for devices, with whatever extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)/i;

/**
 * Whether a path segment of an action means something else than one name to this machine's file system. On Windows that is
 * so for a backslash or a colon, which lead to other directories, drives and streams; for devices; and for a dot or a space
 * at the end, which are taken off.
 */
export function meansSomethingElse(segment: string, platform: NodeJS.Platform = process.platform): boolean {
  return platform === "win32" && (/[\\:]|[. ]$/.test(segment) || DEVICE.test(segment));
}

/** A symlink's target as REAPI has it, with `/` between the segments. */
export function portableTarget(target: string, platform: NodeJS.Platform = process.platform): string {
  return platform === "win32" ? target.replaceAll("\\", "/") : target;
}

/**
 * A path for calls of node:fs that take bytes, with what goes between it and a name in it. Bytes, since on Linux names need
 * not be UTF-8; on Windows in the form that may be longer than 260 characters, which Node.js gives to texts by itself.
 */
export function pathBytes(path: string): Buffer {
  return Buffer.from(toNamespacedPath(resolve(path)));
}

export const SEPARATOR_BYTES = Buffer.from(sep);
