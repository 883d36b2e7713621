// Bundles the Worker (for workerd under Miniflare) and the command line (for Node) into dist/.
// `wrangler deploy` does not use this: it bundles src/worker.ts by itself, by the same rules.
import { build } from "esbuild";

const shared = { bundle: true, format: "esm", target: "es2024", sourcemap: true, logLevel: "warning" };

await Promise.all([
  build({
    ...shared,
    entryPoints: { worker: "src/worker.ts" },
    outdir: "dist",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    external: ["cloudflare:*", "node:*"],
    loader: { ".json5": "text" },
  }),
  build({
    ...shared,
    entryPoints: { remex: "cli/remex.ts" },
    outdir: "dist",
    platform: "node",
    packages: "external",
    banner: { js: "#!/usr/bin/env node" },
  }),
]);
