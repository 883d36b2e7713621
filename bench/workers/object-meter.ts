import { counts, noteDatabaseSize } from "./counter.ts";
import { inInvocation } from "./invocation.ts";
import { isMethod, type Method } from "./method.ts";

/** Rows are counted when an event ends, at which a cursor has been read, or in between if there are too many of them. */
const MAX_CURSORS = 1000;

/** What an object of any class costs: the events that it handles, how long it is at it, and what that does in SQLite. */
export class ObjectMeter {
  readonly #context: DurableObjectState;
  readonly #separately: boolean;
  #wrote = false;
  #cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  #handling = 0;
  #activeSinceMs = 0;

  /**
   * To be called before the object's constructor uses its storage.
   * @param separately whether what an event does is to be told from what others do (see invocation.ts)
   */
  constructor(context: DurableObjectState, separately: boolean) {
    this.#context = context;
    this.#separately = separately;
    const { storage } = context;
    const { sql } = storage;
    const exec = sql.exec.bind(sql);
    const countedExec = (query: string, ...bindings: unknown[]) => {
      const cursor = exec(query, ...bindings);
      if (this.#cursors.push(cursor) >= MAX_CURSORS) this.#countRows();
      return cursor;
    };
    const setAlarm = storage.setAlarm.bind(storage);
    const countedSetAlarm: typeof setAlarm = (...args) => {
      this.#wrote = true;
      counts.rowsWritten++;
      return setAlarm(...args);
    };
    Object.defineProperty(sql, "exec", { value: countedExec });
    Object.defineProperty(storage, "setAlarm", { value: countedSetAlarm });
  }

  /** Handles an event. The object is active from its beginning to its end, and until what it wrote is durable. */
  handle(event: () => unknown): unknown {
    if (this.#handling++ === 0) this.#activeSinceMs = performance.now();
    let result: unknown;
    try {
      result = this.#separately ? inInvocation(event) : event();
    } catch (error) {
      this.#ended();
      throw error;
    }
    if (!(result instanceof Promise)) {
      this.#ended();
      return result;
    }
    return result.finally(() => {
      this.#ended();
    });
  }

  #ended(): void {
    this.#countRows();
    if (!this.#wrote) {
      this.#rest();
      return;
    }
    this.#wrote = false;
    const { id, storage } = this.#context;
    noteDatabaseSize(id.toString(), storage.sql.databaseSize);
    void storage.sync().finally(() => {
      this.#rest();
    });
  }

  #rest(): void {
    if (--this.#handling === 0) counts.objectActiveMs += performance.now() - this.#activeSinceMs;
  }

  #countRows(): void {
    for (const { rowsRead, rowsWritten } of this.#cursors) {
      counts.rowsRead += rowsRead;
      counts.rowsWritten += rowsWritten;
      this.#wrote ||= rowsWritten > 0;
    }
    this.#cursors = [];
  }
}

const meters = new WeakMap<object, ObjectMeter>();

/** To be called at the end of the constructor. */
export function setMeter(object: object, meter: ObjectMeter): void {
  meters.set(object, meter);
}

/** How an event of an object is billed. */
const BILLED_AS = new Map<string, "objectRequests" | "socketMessages" | "nothing">([
  ["webSocketMessage", "socketMessages"],
  ["webSocketClose", "nothing"],
  ["webSocketError", "nothing"],
]);

/** Lets `counted`, a subclass of `base`, meter each of the handlers and methods of `base`. */
export function meterEvents(counted: { readonly prototype: object }, base: { readonly prototype: object }): void {
  for (const name of Object.getOwnPropertyNames(base.prototype)) {
    const member: unknown = Reflect.get(base.prototype, name);
    if (name === "constructor" || !isMethod(member)) continue;
    Object.defineProperty(counted.prototype, name, { value: metered(member, BILLED_AS.get(name) ?? "objectRequests") });
  }
}

function metered(method: Method, billedAs: "objectRequests" | "socketMessages" | "nothing"): Method {
  return function (this: object, ...args: unknown[]): unknown {
    const meter = meters.get(this);
    if (meter === undefined) throw new Error("an object has a meter from its constructor on");
    if (billedAs !== "nothing") counts[billedAs]++;
    return meter.handle(() => Reflect.apply(method, this, args));
  };
}
