import { execFile } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const repository = fileURLToPath(new URL("../..", import.meta.url));
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "remex-generate-"));
});

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

/** Runs `buf generate` so that `protos/gen` is made below `output` and not in the repository. */
async function generateInto(output: string): Promise<void> {
  const buf = fileURLToPath(import.meta.resolve("@bufbuild/buf/bin/buf"));
  const plugins = join(repository, "node_modules", ".bin");
  await promisify(execFile)(process.execPath, [buf, "generate", "--output", output], {
    cwd: repository,
    env: { ...process.env, PATH: `${plugins}${delimiter}${process.env["PATH"] ?? ""}` },
  });
}

function filesBelow(directory: string): Map<string, string> {
  const paths = globSync("**/*.ts", { cwd: directory });
  return new Map(paths.map((path) => [path, readFileSync(join(directory, path), "utf8")]));
}

test("protos/gen is what `npm run generate` makes of protos", { timeout: 60_000 }, async () => {
  await generateInto(scratch);
  const fresh = filesBelow(join(scratch, "protos", "gen"));
  const committed = filesBelow(join(repository, "protos", "gen"));
  expect(fresh.size).toBeGreaterThan(0);
  const differing = [...new Set([...fresh.keys(), ...committed.keys()])].filter(
    (path) => fresh.get(path) !== committed.get(path),
  );
  expect(differing, "files that `npm run generate` would change").toEqual([]);
});
