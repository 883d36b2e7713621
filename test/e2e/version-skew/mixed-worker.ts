import { join } from "node:path";
import { Miniflare } from "miniflare";
import { LOCAL_WORKER } from "../../../cli/local-worker.ts";
import type { Version } from "./versions.ts";

const OBJECTS = "objects";

/** A Worker of one version with objects of another, as there are for minutes after each deploy. */
export class MixedWorker {
  readonly url: string;
  readonly #runtime: Miniflare;

  private constructor(url: string, runtime: Miniflare) {
    this.url = url;
    this.#runtime = runtime;
  }

  /**
   * @param dataDirectory where R2 and the objects keep their data, or kept it before
   * @param port 0 for any free one
   */
  static async start(worker: Version, objects: Version, dataDirectory: string, port = 0): Promise<MixedWorker> {
    const classes = Object.entries(LOCAL_WORKER.durableObjects).filter(([, { className }]) =>
      hasClass(objects, className),
    );
    const script = ({ worker: contents }: Version) => [{ type: "ESModule" as const, path: "worker.js", contents }];
    const runtime = new Miniflare({
      cf: false,
      handleStructuredLogs: ({ level, message }: { level: string; message: string }) => {
        if (level === "error") console.error(message);
      },
      r2Persist: join(dataDirectory, "r2"),
      durableObjectsPersist: join(dataDirectory, "objects"),
      workers: [
        {
          ...LOCAL_WORKER,
          modules: script(worker),
          durableObjects: Object.fromEntries(classes.map(([binding, of]) => [binding, { ...of, scriptName: OBJECTS }])),
          unsafeDirectSockets: [{ host: "127.0.0.1", port, proxy: false }],
        },
        {
          ...LOCAL_WORKER,
          name: OBJECTS,
          modules: script(objects),
          durableObjects: Object.fromEntries(classes),
        },
      ],
    });
    await runtime.ready;
    const { origin } = await runtime.unsafeGetDirectURL(LOCAL_WORKER.name);
    return new MixedWorker(origin, runtime);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  stop(): Promise<void> {
    return this.#runtime.dispose();
  }
}

/** Whether a version exports a class: there may be one that an earlier version lacks, and workerd binds none that is not there. */
function hasClass({ worker }: Version, className: string): boolean {
  return new RegExp(`^ *export (?:class +|\\{[^}]*\\b)${className}\\b`, "m").test(worker);
}
