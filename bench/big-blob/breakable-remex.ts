import { setTimeout } from "node:timers/promises";
import { NodePart } from "../remex/node-part.ts";
import { childrenNamed, memoryUsage, resetPeakMemory } from "../remex/process-usage.ts";
import { CuttableLine } from "./cuttable-line.ts";

const POLL_MS = 250;

/** The parts whose memory is watched. */
export type PartName = "bridge" | "workerd";

/** `remex start` without an agent and a bridge of its own: whatever of it is broken comes back, with all that is stored. */
export class BreakableRemex {
  readonly #script: string;
  readonly #directory: string;
  readonly #peaks = new Map<PartName, number>();
  readonly #stopped = new AbortController();
  #worker: NodePart | undefined;
  #workerd: number | undefined;
  #workerPort = 0;
  #bridge: NodePart | undefined;
  #bridgePort = 0;
  #toBridge: CuttableLine | undefined;
  #toWorker: CuttableLine | undefined;

  /**
   * @param script the built command
   * @param directory an empty one, for what is stored
   */
  static async start(script: string, directory: string): Promise<BreakableRemex> {
    const remex = new BreakableRemex(script, directory);
    try {
      await remex.#startWorker();
      remex.#toWorker = await CuttableLine.open(() => remex.#workerPort);
      await remex.#startBridge();
      remex.#toBridge = await CuttableLine.open(() => remex.#bridgePort);
      void remex.#watchMemory();
      return remex;
    } catch (error) {
      await remex.stop();
      throw error;
    }
  }

  private constructor(script: string, directory: string) {
    this.#script = script;
    this.#directory = directory;
  }

  /** `host:port` for clients. It stays the same. */
  get address(): string {
    return `127.0.0.1:${this.#toBridge?.port ?? 0}`;
  }

  /**
   * The most memory that any process of each part has had resident since this was last asked, in bytes; 0 where the system
   * doesn't tell.
   */
  takePeaks(): ReadonlyMap<PartName, number> {
    this.#noteMemory();
    const peaks = new Map(this.#peaks);
    this.#peaks.clear();
    for (const pid of [this.#bridge?.pid, this.#workerd]) if (pid !== undefined) resetPeakMemory(pid);
    return peaks;
  }

  async killBridge(): Promise<void> {
    this.#noteMemory();
    await this.#bridge?.kill();
    await this.#startBridge();
  }

  /** Kills workerd, and `remex start`, which would start it again by itself. */
  async killWorker(): Promise<void> {
    this.#noteMemory();
    if (this.#workerd !== undefined) process.kill(this.#workerd, "SIGKILL");
    await this.#worker?.kill();
    await this.#startWorker();
  }

  cutClient(): Promise<void> {
    this.#toBridge?.cut();
    return Promise.resolve();
  }

  cutUpstream(): Promise<void> {
    this.#toWorker?.cut();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#toBridge?.close();
    await this.#bridge?.stop();
    this.#toWorker?.close();
    await this.#worker?.stop();
  }

  async #startWorker(): Promise<void> {
    const { part, readyAt } = await NodePart.start(
      this.#script,
      ["start", "--no-agent", "--no-bridge", "--data", this.#directory, "--worker-port", String(this.#workerPort)],
      /^Worker +ready at http:\/\/[^/]+:(\d+)/,
      [],
    );
    this.#worker = part;
    [this.#workerd] = childrenNamed("workerd", part.pid);
    this.#workerPort = Number(readyAt);
  }

  async #startBridge(): Promise<void> {
    const endpoint = `http://127.0.0.1:${this.#toWorker?.port ?? 0}`;
    const { part, readyAt } = await NodePart.start(
      this.#script,
      ["bridge", "--endpoint", endpoint, "--listen", "127.0.0.1:0", "--log-level", "error"],
      /^Bridge +ready at grpc:\/\/[^,]+:(\d+)/,
      [],
    );
    this.#bridge = part;
    this.#bridgePort = Number(readyAt);
  }

  async #watchMemory(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#noteMemory();
      await setTimeout(POLL_MS);
    }
  }

  #noteMemory(): void {
    for (const [part, pid] of [
      ["bridge", this.#bridge?.pid],
      ["workerd", this.#workerd],
    ] as const) {
      const peakBytes = (pid === undefined ? undefined : memoryUsage(pid)?.peakBytes) ?? 0;
      this.#peaks.set(part, Math.max(this.#peaks.get(part) ?? 0, peakBytes));
    }
  }
}
