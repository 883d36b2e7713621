import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { LOCAL_WORKER } from "../cli/local-worker.ts";

export interface TestWorkerOptions {
  /** The text of a configuration file, in place of remex.json5. */
  readonly config?: string;
  /** Where R2 and the objects keep their data; a new directory, removed at the end, if it is not given. */
  readonly dataDirectory?: string;
  /** The Worker's module, in place of src/worker.ts. */
  readonly entryPoint?: string;
  /** Bindings on top of the local runner's; undefined takes one away. */
  readonly bindings?: Readonly<Record<string, string | undefined>>;
  /** Gets each line that the Worker logs; else its errors go to the test's own output. */
  readonly onLog?: (line: string) => void;
  /** Lets the inspector in; see `inspectorUrl`. */
  readonly inspected?: boolean;
}

export interface TestWorker {
  /** Where it listens, with no slash at the end. */
  readonly url: string;
  readonly mf: Miniflare;
  /** Runs SQL inside shard `index` of MAIN_STORE. */
  shardSql(index: number, query: string, ...bindings: unknown[]): Promise<Record<string, unknown>[]>;
  /** Ends shard `index` of MAIN_STORE, as the platform does now and then; the next call starts it again. */
  evictShard(index: number): Promise<void>;
  /** The inspector of the Worker's isolate, if it is `inspected`. */
  inspectorUrl(): Promise<URL>;
  dispose(): Promise<void>;
}

/** Starts the Worker as it is in the checkout, in workerd, on a free port and a socket of its own. */
export async function startWorker(options: TestWorkerOptions = {}): Promise<TestWorker> {
  const dataDirectory = options.dataDirectory ?? (await mkdtemp(join(tmpdir(), "remex-worker-")));
  const mf = new Miniflare({
    cf: false,
    ...(options.inspected === true && { inspectorPort: 0 }),
    unsafeInspectDurableObjects: true,
    handleStructuredLogs: ({ level, message }: { level: string; message: string }) => {
      if (options.onLog !== undefined) options.onLog(message);
      else if (level === "error") console.error(message);
    },
    r2Persist: join(dataDirectory, "r2"),
    durableObjectsPersist: join(dataDirectory, "objects"),
    workers: [
      {
        ...LOCAL_WORKER,
        modules: [
          { type: "ESModule", path: "worker.js", contents: await bundle(options.entryPoint ?? "src/worker.ts") },
        ],
        bindings: defined({ ...LOCAL_WORKER.bindings, REMEX_CONFIG: options.config, ...options.bindings }),
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, proxy: false }],
      },
    ],
  });
  await mf.ready;
  const { origin } = await mf.unsafeGetDirectURL(LOCAL_WORKER.name);
  return {
    url: origin,
    mf,
    shardSql: async (index, query, ...bindings) => {
      const storage = await mf.unsafeGetDurableObjectStorage(LOCAL_WORKER.name, "CacheShard", {
        name: `MAIN_STORE/${index}`,
      });
      return storage.exec(query, ...bindings);
    },
    evictShard: (index) =>
      mf.unsafeEvictDurableObject(LOCAL_WORKER.name, "CacheShard", { name: `MAIN_STORE/${index}` }),
    inspectorUrl: async () => new URL(`/core:user:${LOCAL_WORKER.name}`, await mf.getInspectorURL()),
    dispose: async () => {
      await mf.dispose();
      if (options.dataDirectory === undefined) await rm(dataDirectory, { recursive: true, force: true });
    },
  };
}

function defined(bindings: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(bindings).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]])),
  );
}

const bundles = new Map<string, Promise<string>>();

/** The Worker, bundled as build.js does, but in memory: tests neither need dist/ nor disturb it. */
function bundle(entryPoint: string): Promise<string> {
  const known = bundles.get(entryPoint);
  if (known !== undefined) return known;
  const bundled = build({
    entryPoints: [entryPoint],
    bundle: true,
    format: "esm",
    target: "es2024",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    external: ["cloudflare:*", "node:*"],
    loader: { ".json5": "text", ".css": "text", ".client.js": "text" },
    write: false,
  }).then(({ outputFiles }) => outputFiles.map(({ text }) => text).join(""));
  bundles.set(entryPoint, bundled);
  return bundled;
}
