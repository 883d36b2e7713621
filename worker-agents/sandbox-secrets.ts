import { realpathSync, statSync } from "node:fs";
import { lstat, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { errorMessage, systemErrorCode } from "./system-error.ts";

/** Nothing that a command has to know. They are hidden whoever may read them, and though they come later. */
const KNOWN_SECRETS: readonly string[] = [
  "/etc/shadow",
  "/etc/shadow-",
  "/etc/gshadow",
  "/etc/gshadow-",
  "/etc/krb5.keytab",
  "/etc/security/opasswd",
  "/etc/ssh",
  "/etc/ssl/private",
  "/etc/sudoers",
  "/etc/sudoers.d",
];

const SETTINGS = "/etc";

/** There are some thousand files of settings on a machine. */
const MAX_ENTRIES = 100_000;

const OTHERS_READ = 0o004;
const OTHERS_SEARCH = 0o001;

/**
 * What commands must not see of that which the sandbox's paths show them, though the agent may read it: a command is
 * nobody in its sandbox, but outside it is the agent.
 */
export class SandboxSecrets {
  readonly #paths: readonly { readonly shown: string; readonly real: string }[];
  readonly #secrets: ReadonlySet<string>;

  private constructor(paths: readonly { readonly shown: string; readonly real: string }[], secrets: Iterable<string>) {
    this.#paths = paths;
    this.#secrets = new Set(secrets);
  }

  /**
   * Looks for them. Where the agent is root, they are all files and directories of /etc that not everybody may read.
   * @param paths what commands see of the machine
   * @param own files that only the agent is to read, such as its token's
   */
  static async find(paths: readonly string[], own: readonly string[], logger: Logger): Promise<SandboxSecrets> {
    const shown = await Promise.all(
      paths.map(async (path) => ({ shown: path, real: await realpath(path).catch(() => path) })),
    );
    const settings = process.getuid?.() === 0 ? settingsWithin(paths) : [];
    const found = await Promise.all(settings.map((directory) => withheldIn(directory, paths)));
    const withheld = found.flatMap((each) => each.paths);
    for (const { directory, unread } of found) {
      if (unread !== undefined) logger.warn({ directory, reason: unread }, "not all that only root may read is hidden");
    }
    return new SandboxSecrets(shown, [...KNOWN_SECRETS, ...own, ...withheld]);
  }

  /** Arguments for bubblewrap that hide them, after those that show the paths. As they are now: one may have gone. */
  masks(): string[] {
    const places = new Map<string, { readonly isDirectory: boolean }>();
    for (const secret of this.#secrets) {
      const found = kindOf(secret);
      if (found === undefined) continue;
      for (const { shown, real } of this.#paths) {
        if (isWithin(found.real, real)) places.set(shown + found.real.slice(real.length), found);
      }
    }
    const directories = [...places].flatMap(([place, { isDirectory }]) => (isDirectory ? [place] : []));
    return [...places].flatMap(([place, { isDirectory }]) => {
      // It is hidden with its directory, in which nothing can be put on top of it any more.
      if (directories.some((each) => each !== place && isWithin(place, each))) return [];
      return isDirectory ? ["--tmpfs", place, "--remount-ro", place] : ["--ro-bind", "/dev/null", place];
    });
  }
}

/** The parts of /etc that the paths show. */
function settingsWithin(paths: readonly string[]): string[] {
  if (paths.some((path) => isWithin(SETTINGS, path))) return [SETTINGS];
  return paths.filter((path) => isWithin(path, SETTINGS));
}

/** What a look into a directory has found. */
export interface Withheld {
  readonly directory: string;
  /** Files and directories that not everybody may read; what is in such a directory goes with it. */
  readonly paths: readonly string[];
  /** Why there may be more. */
  readonly unread: string | undefined;
}

/** @param named what commands are to see by its own name, whoever may read it */
export async function withheldIn(directory: string, named: readonly string[]): Promise<Withheld> {
  const paths: string[] = [];
  const directories = [directory];
  let entries = 0;
  let unread: string | undefined;
  for (let next = directories.pop(); next !== undefined; next = directories.pop()) {
    try {
      for (const name of await readdir(next)) {
        if (++entries > MAX_ENTRIES) return { directory, paths, unread: `it has more than ${MAX_ENTRIES} entries` };
        const path = join(next, name);
        // What a symlink leads to is looked at where it is.
        const stats = await lstat(path);
        if (stats.isSymbolicLink()) continue;
        const isOpen = (stats.mode & (stats.isDirectory() ? OTHERS_SEARCH : OTHERS_READ)) !== 0;
        if (!isOpen && !named.some((each) => isWithin(each, path))) paths.push(path);
        else if (stats.isDirectory()) directories.push(path);
      }
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") unread ??= errorMessage(error);
    }
  }
  return { directory, paths, unread };
}

function kindOf(path: string): { readonly real: string; readonly isDirectory: boolean } | undefined {
  try {
    const real = realpathSync(path);
    return { real, isDirectory: statSync(real).isDirectory() };
  } catch {
    // It is not there, and nobody sees it.
    return undefined;
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}
