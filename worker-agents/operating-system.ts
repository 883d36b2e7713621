// What differs between operating systems, but for processes (runner/process-group.ts).

import { resolve, sep, toNamespacedPath } from "node:path";
import { systemErrorCode } from "./system-error.ts";

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

/** Whether the owner of a directory with this `st_mode` may remove what is in it. Windows tells only of being read-only. */
export function mayBeEmptied(mode: number, platform: NodeJS.Platform = process.platform): boolean {
  const needed = platform === "win32" ? 0o200 : 0o700;
  return (mode & needed) === needed;
}

const MAX_WINDOWS_NAME = 255;

/** Names that Windows takes for devices, with whatever extension. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/i;

/**
 * Whether a path segment of an action is no name to this machine's file system, or means something else than one. On Windows
 * that is so for a backslash or a colon, which lead to other directories, drives and streams; for wildcards and what else no
 * name may have; for devices; for a dot or a space at the end, which are taken off; and for more than 255 UTF-16 units.
 */
export function isNoName(segment: string, platform: NodeJS.Platform = process.platform): boolean {
  if (platform !== "win32") return false;
  // eslint-disable-next-line no-control-regex -- Windows has no such characters in names.
  return segment.length > MAX_WINDOWS_NAME || /[\\:<>"|?*\x01-\x1f]|[. ]$/.test(segment) || DEVICE.test(segment);
}

/** Whether two names of a directory may be one to the file system: that of Windows, and mostly that of macOS, folds case. */
export function mayBeSameName(a: string, b: string): boolean {
  return a === b || a.normalize().toLowerCase() === b.normalize().toLowerCase();
}

/** What tells an environment variable from others: on Windows `Path` and `PATH` are one. */
export function variableKey(name: string, platform: NodeJS.Platform = process.platform): string {
  return platform === "win32" ? name.toUpperCase() : name;
}

/**
 * Whether what the file system refused may go well in a moment. On Windows nothing can be removed or replaced while a
 * process has it open, or runs it: then it says that it is busy, or that access is denied.
 */
export function mayPass(error: unknown, platform: NodeJS.Platform = process.platform): boolean {
  switch (systemErrorCode(error)) {
    case "EBUSY":
    case "ENOTEMPTY":
    case "EEXIST":
      return true;
    case "EACCES":
    case "EPERM":
      return platform === "win32";
    default:
      return false;
  }
}

/** Whether a symlink is one for directories or one for files. */
export const SYMLINKS_HAVE_TYPES = windows;

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
