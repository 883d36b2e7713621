import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { z } from "zod";

const HEAP_MB = 24;

const reportSchema = z.object({ complete: z.boolean(), treeBytes: z.number(), found: z.number(), most: z.number() });

test("a Tree is checked in a heap that is smaller than itself, however many files it has", async () => {
  const { outputFiles } = await build({
    entryPoints: ["test/src/action-cache/small-heap/check-large-tree.ts"],
    bundle: true,
    format: "esm",
    target: "es2024",
    platform: "node",
    write: false,
  });
  const script = outputFiles.map(({ text }) => text).join("");
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 8 },
  });
  // One whose heap is full ends with ERR_WORKER_OUT_OF_MEMORY, which is thrown here.
  const [report] = z.tuple([reportSchema]).parse(await once(worker, "message"));
  await worker.terminate();
  expect(report.treeBytes).toBeGreaterThan(HEAP_MB * 1e6);
  // With the Tree itself.
  expect(report).toMatchObject({ complete: true, found: 300_001 });
  expect(report.most).toBeLessThanOrEqual(10_000);
}, 60_000);
