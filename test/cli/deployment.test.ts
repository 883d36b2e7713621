import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { unstable_readConfig } from "wrangler";
import { z } from "zod";
import { LOCAL_WORKER } from "../../cli/local-worker.ts";

it("wrangler can bundle the Worker with its configuration for a deployment", async () => {
  const directory = await mkdtemp(join(tmpdir(), "remex-wrangler-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const wrangler = join("node_modules", "wrangler", "bin", "wrangler.js");

  const { stdout } = await promisify(execFile)(
    process.execPath,
    [wrangler, "deploy", "--dry-run", "--outdir", directory],
    { env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
  );

  expect(stdout).toContain("env.CAS (remex-cas)");
  const files = await readdir(directory);
  expect(files).toContain("worker.js");
  for (const text of ["remex.json5", "dashboard.css", "dashboard.client.js"]) {
    expect(files.filter((name) => name.endsWith(text))).toHaveLength(1);
  }
});

/** As much of wrangler's configuration as Miniflare has to be told, too. */
const deployedSchema = z
  .object({
    name: z.string(),
    compatibility_date: z.string(),
    compatibility_flags: z.array(z.string()),
    r2_buckets: z.array(z.object({ binding: z.string(), bucket_name: z.string() })),
    durable_objects: z.object({ bindings: z.array(z.object({ name: z.string(), class_name: z.string() })) }),
    migrations: z.array(z.object({ new_sqlite_classes: z.array(z.string()).default([]) })),
  })
  .transform((deployed) => {
    const sqliteClasses = deployed.migrations.flatMap((migration) => migration.new_sqlite_classes);
    return {
      name: deployed.name,
      compatibilityDate: deployed.compatibility_date,
      compatibilityFlags: deployed.compatibility_flags,
      r2Buckets: Object.fromEntries(deployed.r2_buckets.map((bucket) => [bucket.binding, bucket.bucket_name])),
      durableObjects: Object.fromEntries(
        deployed.durable_objects.bindings.map(({ name, class_name: className }) => [
          name,
          { className, useSQLite: sqliteClasses.includes(className) },
        ]),
      ),
    };
  });

it("a deployed Worker has what the local one has", () => {
  const deployed: unknown = unstable_readConfig({ config: "wrangler.toml" }, { hideWarnings: true });

  // The bindings are what a deployed Worker must not have: open to whoever reaches it.
  const { bindings, ...local } = LOCAL_WORKER;
  expect(deployedSchema.parse(deployed)).toEqual(local);
  expect(deployed).not.toHaveProperty(["vars", ...Object.keys(bindings)]);
});
