import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";
import type { Logger } from "pino";
import { errorCode, errorMessage, Fault } from "./fault.ts";
import { guardAgainstOrphans } from "./orphan-guard.ts";
import { logWorkerLine } from "./worker-log.ts";

export interface LocalWorkerOptions {
  /** The bundled Worker: dist/worker.js. */
  readonly script: string;
  /** Where R2 and the Durable Objects keep their data; it survives restarts. */
  readonly dataDirectory: string;
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** The text of the configuration file, in place of the one that the bundle holds. */
  readonly config?: string;
  readonly logger: Logger;
  /** From when on the death of workerd is no news: a terminal's Ctrl-C reaches it, too. */
  readonly stopping?: AbortSignal;
  /** Called if workerd died and could not be started again: nothing is served any more. */
  readonly onLost?: (error: Error) => void;
}

export interface LocalWorker {
  /** Where it listens, e.g. `http://127.0.0.1:8787`, without a slash at the end. */
  readonly url: string;
  stop(): Promise<void>;
}

/** What `wrangler.toml` says too; a test compares the two. */
export const LOCAL_WORKER = {
  name: "remex",
  compatibilityDate: "2026-07-30",
  compatibilityFlags: ["nodejs_compat", "enable_request_signal"],
  durableObjects: {
    INSTANCE: { className: "Instance", useSQLite: true },
    CACHE_SHARD: { className: "CacheShard", useSQLite: true },
    QUOTA: { className: "Quota", useSQLite: true },
  },
  r2Buckets: { CAS: "remex-cas" },
  // Beside what wrangler.toml says: with no `access` in the configuration, whoever reaches this machine may do anything.
  bindings: { REMEX_ANONYMOUS_ROLES: "cache-writer,executor,agent,operator", REMEX_ONE_PLACE: "this machine" },
};

/**
 * Runs the Worker in workerd on this machine. The socket is workerd's own: Miniflare's usual entry in front of it would
 * compress and hold back streams, and costs most of the requests per second. If workerd dies it is started again on the
 * same port.
 * @throws Fault if the port is in use or workerd can't start.
 */
export async function startLocalWorker(options: LocalWorkerOptions): Promise<LocalWorker> {
  const { dataDirectory, host, port, logger } = options;
  const endGuard = guardAgainstOrphans("workerd");
  const runtime = keepingSignalHandlers(
    (contents) =>
      new Miniflare({
        // Else Miniflare asks the internet where on the globe this machine is.
        cf: false,
        log: new RuntimeLog(logger, options.onLost),
        handleStructuredLogs: (line: { level: string; message: string }) => {
          logWorkerLine(logger, line.level, line.message);
        },
        unsafeHandleRuntimeRestart: () => {
          if (!options.stopping?.aborted) logger.warn("workerd died and was started again; nothing stored is lost");
        },
        r2Persist: join(dataDirectory, "r2"),
        durableObjectsPersist: join(dataDirectory, "objects"),
        workers: [
          {
            ...LOCAL_WORKER,
            modules: [{ type: "ESModule", path: "worker.js", contents }],
            bindings: {
              ...LOCAL_WORKER.bindings,
              ...(options.config !== undefined && { REMEX_CONFIG: options.config }),
              ...tracingBindings(process.env),
            },
            unsafeDirectSockets: [{ host, port, proxy: false }],
          },
        ],
      }),
    await readScript(options.script),
  );
  try {
    await runtime.ready;
  } catch (error) {
    // It reports the same error once more.
    await runtime.dispose().catch(() => undefined);
    endGuard();
    throw errorCode(error) === "ERR_ADDRESS_IN_USE"
      ? new Fault(`port ${port} on ${host} is in use; stop what listens there or choose another with --worker-port`)
      : new Fault(`the Worker did not start: ${errorMessage(error)}`);
  }
  const { origin } = await runtime.unsafeGetDirectURL(LOCAL_WORKER.name);
  const stop = async (): Promise<void> => {
    await runtime.dispose();
    endGuard();
  };
  return { url: origin, stop };
}

/** OpenTelemetry's variables, which name the collector for all parts alike. */
function tracingBindings(environment: NodeJS.ProcessEnv): Record<string, string> {
  const variables = Object.entries(environment).filter(([name]) => name.startsWith("OTEL_"));
  return Object.fromEntries(variables.map(([name, value]) => [name, value ?? ""]));
}

async function readScript(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    throw new Fault(`${path} is not there; make it with: npm run build`);
  }
}

/**
 * Miniflare exits the process at the first SIGINT or SIGTERM, before the agent has ended its actions. Who stops what,
 * and in which order, is up to the command that called us; Miniflare's "exit" listener, which kills workerd, stays.
 */
function keepingSignalHandlers(construct: (script: string) => Miniflare, script: string): Miniflare {
  const signals = ["SIGINT", "SIGTERM"] as const;
  const before = new Map(signals.map((signal) => [signal, process.listeners(signal)]));
  const runtime = construct(script);
  for (const signal of signals) {
    for (const listener of process.listeners(signal)) {
      if (!before.get(signal)?.includes(listener)) process.off(signal, listener);
    }
  }
  return runtime;
}

/** Carries what Miniflare itself has to say into our log. */
class RuntimeLog extends Log {
  readonly #logger: Logger;
  readonly #onLost: ((error: Error) => void) | undefined;

  constructor(logger: Logger, onLost: ((error: Error) => void) | undefined) {
    super(LogLevel.WARN);
    this.#logger = logger;
    this.#onLost = onLost;
  }

  override warn(message: string): void {
    this.#logger.warn(message);
  }

  override error(error: Error): void {
    this.#logger.error({ err: error }, error.message);
    if (errorCode(error) === "ERR_RUNTIME_FAILURE") this.#onLost?.(error);
  }
}
