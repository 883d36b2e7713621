// What differs between operating systems, but for processes (runner/process-group.ts).

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

/**
 * Whether a path segment of an action would mean something else than one name to this machine's file system: on Windows
 * a backslash or a colon, which lead to other directories, drives and streams.
 */
export function leavesItsDirectory(segment: string): boolean {
  return windows && /[\\:]/.test(segment);
}
