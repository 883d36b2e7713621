// Bundles the Worker (for workerd under Miniflare) and the command line (for Node) into dist/.
// `wrangler deploy` does not use this: it bundles src/worker.ts by itself, by the same rules.
import { chmod, readdir, rm } from "node:fs/promises";
import { basename } from "node:path";
import { build } from "esbuild";

const shared = {
  bundle: true,
  format: "esm",
  target: "es2024",
  outdir: "dist",
  sourcemap: true,
  logLevel: "warning",
  metafile: true,
};
const CHUNKS = "dist/chunks";

const [, commandLine] = await Promise.all([
  build({
    ...shared,
    entryPoints: { worker: "src/worker.ts" },
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    external: ["cloudflare:*", "node:*"],
    loader: { ".json5": "text", ".css": "text", ".client.js": "text" },
  }),
  build({
    ...shared,
    entryPoints: {
      remex: "cli/remex.ts",
      // Forked by the agent, which looks for it beside its own chunk.
      "chunks/runner-process": "worker-agents/runner/runner-process.ts",
      // Forked by `remex start`, in the same way.
      "chunks/orphan-guard-process": "cli/orphan-guard-process.ts",
    },
    platform: "node",
    packages: "external",
    // So that what is imported late stays so: each command loads only what it needs, and the check of Node's version
    // comes before all that needs a new one.
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
    banner: { js: "#!/usr/bin/env node" },
  }),
]);

// It is started by its name, too: docs/agents.
await chmod("dist/remex.js", 0o755);

// The names of chunks change with their content: take the old ones away.
const current = new Set(Object.keys(commandLine.metafile.outputs).map((path) => basename(path)));
const stale = (await readdir(CHUNKS)).filter((name) => !current.has(name));
await Promise.all(stale.map((name) => rm(`${CHUNKS}/${name}`, { force: true })));
