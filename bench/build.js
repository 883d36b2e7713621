// Bundles the bench, what it starts, and the Workers that it measures into one directory.
// Usage: node bench/build.js [directory]
import process from "node:process";
import { build } from "esbuild";

const [outdir = "dist/bench"] = process.argv.slice(2);
const shared = { bundle: true, format: "esm", target: "es2024", outdir, sourcemap: true, logLevel: "warning" };

await Promise.all([
  build({
    ...shared,
    entryPoints: {
      bench: "bench/bench.ts",
      "bare-dispatch": "bench/baselines/bare-dispatch-process.ts",
      "big-blob": "bench/big-blob/main.ts",
      "idle-calls": "bench/idle-calls/main.ts",
      "isolate-memory": "bench/isolate-memory/main.ts",
      "local-copy": "bench/baselines/local-copy-process.ts",
      "local-spawn": "bench/baselines/local-spawn-process.ts",
      remex: "cli/remex.ts",
      // Forked by the agent, which looks for it beside itself.
      "runner-process": "worker-agents/runner/runner-process.ts",
    },
    platform: "node",
    packages: "external",
  }),
  build({
    ...shared,
    entryPoints: {
      worker: "src/worker.ts",
      "counted-worker": "bench/workers/counted-worker.ts",
      "raw-r2-worker": "bench/workers/raw-r2-worker.ts",
      "bare-dispatch-worker": "bench/workers/bare-dispatch-worker.ts",
      "bare-query-worker": "bench/workers/bare-query-worker.ts",
    },
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    external: ["cloudflare:*", "node:*"],
    loader: { ".json5": "text", ".css": "text", ".client.js": "text" },
  }),
]);
