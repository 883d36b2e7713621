import type { Logger } from "pino";
import type { Runner } from "../runner/runner.ts";
import type { WorkDirectory } from "../work-directory.ts";
import { PersistentWorker } from "./persistent-worker.ts";

/** What bounds the persistent workers of an agent. */
export interface PersistentWorkerLimits {
  /** After so many requests a worker is replaced: what it leaks is bounded, too. */
  readonly maxRequests: number;
  /** A worker without a request for so long is ended. */
  readonly idleMs: number;
  /** How long actions run without a worker after one of the same kind has failed before it ever answered. */
  readonly failureMemoryMs: number;
}

export interface PersistentWorkersOptions extends PersistentWorkerLimits {
  /** How many there may be, whether they work or wait. */
  readonly maxWorkers: number;
  readonly runner: Runner;
  readonly work: WorkDirectory;
  readonly logger: Logger;
}

/** How many kinds of workers that failed are remembered. */
const MAX_FAILED_KEYS = 1_000;

interface Member {
  readonly worker: PersistentWorker;
  readonly key: string;
  /** Set while it waits for a request. */
  idleTimer: NodeJS.Timeout | undefined;
  /** Set from the moment on in which an action no longer needs it. */
  isFree: boolean;
}

/** The persistent workers of an agent. Each does one request at a time; for more at once there are more of them. */
export class PersistentWorkers {
  readonly #options: PersistentWorkersOptions;
  /** The one that was used last comes last. */
  readonly #members = new Map<PersistentWorker, Member>();
  /** Until when no worker is started, by key. */
  readonly #failedUntil = new Map<string, number>();

  constructor(options: PersistentWorkersOptions) {
    this.#options = options;
  }

  /**
   * A worker for actions with this key, to be given back by `release`; undefined if the action must do without: there
   * are as many as may be, and all work, or such workers don't.
   */
  take(key: string): PersistentWorker | undefined {
    for (const member of [...this.#members.values()].reverse()) {
      if (member.key !== key || !member.isFree || !member.worker.isReady) continue;
      clearTimeout(member.idleTimer);
      member.isFree = false;
      this.#members.delete(member.worker);
      this.#members.set(member.worker, member);
      return member.worker;
    }
    if ((this.#failedUntil.get(key) ?? 0) > performance.now() || !this.#makeRoom()) return undefined;
    const { runner, work } = this.#options;
    const worker: PersistentWorker = new PersistentWorker(work.newAttempt(), runner, () => {
      this.#forget(worker);
    });
    this.#members.set(worker, { worker, key, idleTimer: undefined, isFree: false });
    return worker;
  }

  /** Gives a worker back. One that is of no more use is ended. */
  release(worker: PersistentWorker): void {
    const member = this.#members.get(worker);
    if (member === undefined) return;
    const { idleMs, maxRequests } = this.#options;
    member.isFree = true;
    if (worker.hasEnded) {
      this.#forget(worker);
    } else if (!worker.isReady || !worker.isStarted) {
      worker.kill("it is of no use");
    } else if (worker.answered >= maxRequests) {
      worker.kill(`it has done ${maxRequests} requests`);
    } else {
      member.idleTimer = setTimeout(() => {
        worker.kill(`it had nothing to do for ${idleMs / 1000} s`);
      }, idleMs);
      member.idleTimer.unref();
    }
  }

  /** Actions with this key are run without a worker for a while, if it has not been of any use yet. */
  failed(worker: PersistentWorker): void {
    const key = this.#members.get(worker)?.key;
    if (key === undefined || worker.answered > 0) return;
    this.#failedUntil.delete(key);
    this.#failedUntil.set(key, performance.now() + this.#options.failureMemoryMs);
    for (const oldest of this.#failedUntil.keys()) {
      if (this.#failedUntil.size <= MAX_FAILED_KEYS) break;
      this.#failedUntil.delete(oldest);
    }
  }

  /** Ends those that wait for a request. */
  endIdle(why: string): void {
    for (const { isFree, worker } of [...this.#members.values()]) if (isFree) worker.kill(why);
  }

  /** Ends all of them. Resolves when they have gone. */
  async close(): Promise<void> {
    const members = [...this.#members.values()];
    for (const member of members) {
      member.isFree = true;
      member.worker.kill("the agent stops");
    }
    await Promise.all(members.map(({ worker }) => worker.ended));
  }

  /** Whether one more may be started; for that, the one that has waited longest may have to go. */
  #makeRoom(): boolean {
    if (this.#members.size < this.#options.maxWorkers) return true;
    const idle = [...this.#members.values()].find(({ isFree, worker }) => isFree && worker.isReady);
    if (idle === undefined) return false;
    clearTimeout(idle.idleTimer);
    idle.worker.kill("another one is needed more");
    // It goes within moments: what counts it no more is that it can't be taken.
    this.#members.delete(idle.worker);
    return true;
  }

  /** Removes what a worker left that has ended, once no action needs it any more. */
  #forget(worker: PersistentWorker): void {
    const member = this.#members.get(worker);
    if (member?.isFree === false) return;
    clearTimeout(member?.idleTimer);
    this.#members.delete(worker);
    this.#options.work.discard(worker.directory);
  }
}
