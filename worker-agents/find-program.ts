import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** The path of a program in the directories of a PATH, this process's by default; undefined if none has it. */
export async function findProgram(name: string, searchPath = process.env["PATH"]): Promise<string | undefined> {
  const names = process.platform === "win32" ? [`${name}.exe`] : [name];
  for (const directory of (searchPath ?? "").split(delimiter)) {
    for (const path of names.map((each) => join(directory, each))) {
      try {
        await access(path, constants.X_OK);
        return path;
      } catch {
        // It may be in the next one.
      }
    }
  }
  return undefined;
}
