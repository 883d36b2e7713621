import { readFile } from "node:fs/promises";
import { Log, LogLevel, Miniflare } from "miniflare";
import { LOCAL_WORKER } from "../../cli/local-worker.ts";
import { childrenNamed } from "./process-usage.ts";

export interface WorkerdOptions {
  /** A bundled Worker. */
  readonly script: string;
  /** Where R2 and the objects keep their data. */
  readonly dataDirectory: string;
  /** The Worker's bindings, as Miniflare takes them. */
  readonly worker: {
    readonly bindings?: Record<string, string | number>;
    readonly durableObjects?: Record<string, { readonly className: string; readonly useSQLite: boolean }>;
    readonly r2Buckets?: Record<string, string>;
  };
  /** Lets the inspector in, so that it can be profiled; it is slower then. */
  readonly inspected?: boolean;
}

/** One Worker in a workerd of its own. */
export interface Workerd {
  readonly url: URL;
  /** undefined where the system doesn't tell. */
  readonly pid: number | undefined;
  /** The Worker's inspector, if `inspected`. */
  readonly inspectorUrl: URL | undefined;
  stop(): Promise<void>;
}

/** Starts a Worker with a socket of workerd's own on a free port, as `remex start` does. */
export async function startWorkerd({ script, dataDirectory, worker, inspected }: WorkerdOptions): Promise<Workerd> {
  // Miniflare does not tell the process that it starts.
  const before = new Set(childrenNamed("workerd"));
  const { name, compatibilityDate, compatibilityFlags } = LOCAL_WORKER;
  const runtime = new Miniflare({
    cf: false,
    log: new Log(LogLevel.ERROR),
    handleStructuredLogs: ({ level, message }: { level: string; message: string }) => {
      if (level === "error") console.error(message);
    },
    r2Persist: `${dataDirectory}/r2`,
    durableObjectsPersist: `${dataDirectory}/objects`,
    ...(inspected === true && { inspectorPort: 0 }),
    workers: [
      {
        ...worker,
        name,
        compatibilityDate,
        compatibilityFlags,
        modules: [{ type: "ESModule", path: "worker.js", contents: await readFile(script, "utf8") }],
        unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, proxy: false }],
      },
    ],
  });
  await runtime.ready;
  return {
    url: await runtime.unsafeGetDirectURL(name),
    pid: childrenNamed("workerd").find((pid) => !before.has(pid)),
    inspectorUrl: inspected === true ? new URL(`/core:user:${name}`, await runtime.getInspectorURL()) : undefined,
    stop: () => runtime.dispose(),
  };
}
