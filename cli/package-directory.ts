import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** The directory of this package, from wherever in it this module was bundled to. */
export function packageDirectory(): string {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, "package.json")) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}
