import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { moveFile } from "../../worker-agents/move-file.ts";
import { temporaryDirectory } from "./running-agent.ts";

it("moves a file, in the place of a read-only one, too", async () => {
  const directory = await temporaryDirectory();
  const [from, to] = [join(directory, "from"), join(directory, "to")];
  await writeFile(to, "old", { mode: 0o444 });
  await writeFile(from, "new", { mode: 0o444 });
  await moveFile(from, to);
  expect(await readdir(directory)).toEqual(["to"]);
  expect(await readFile(to, "utf8")).toBe("new");
  await expect(moveFile(from, to)).rejects.toThrow("ENOENT");
  expect(await readFile(to, "utf8")).toBe("new");
});
