/** What the platform bills, counted. */
export interface Counts {
  /** HTTP requests to the Worker, sockets that are opened included. */
  readonly workerRequests: number;
  /** Calls of an object's methods, requests to it, and its alarms. */
  readonly objectRequests: number;
  /** WebSocket messages that an object received; those that it sends are free. */
  readonly socketMessages: number;
  /** How long objects were handling something, each object by itself. */
  readonly objectActiveMs: number;
  readonly rowsRead: number;
  /** Index rows, and the setting of alarms, included. */
  readonly rowsWritten: number;
  /** R2 operations that write or list. */
  readonly r2ClassA: number;
  /** R2 operations that read. */
  readonly r2ClassB: number;
  /** Bytes of the objects that R2 has taken. */
  readonly r2StoredBytes: number;
  /** Size of the objects' databases. */
  readonly objectStoredBytes: number;
}

export type CountName = keyof Counts;

/** Counts that grow. */
export type GrowingCounts = { -readonly [name in CountName]: number };

export const COUNT_NAMES = [
  "workerRequests",
  "objectRequests",
  "socketMessages",
  "objectActiveMs",
  "rowsRead",
  "rowsWritten",
  "r2ClassA",
  "r2ClassB",
  "r2StoredBytes",
  "objectStoredBytes",
] as const satisfies readonly CountName[];

export function noCounts(): GrowingCounts {
  return {
    workerRequests: 0,
    objectRequests: 0,
    socketMessages: 0,
    objectActiveMs: 0,
    rowsRead: 0,
    rowsWritten: 0,
    r2ClassA: 0,
    r2ClassB: 0,
    r2StoredBytes: 0,
    objectStoredBytes: 0,
  };
}

export function countsBetween(before: Counts, after: Counts): Counts {
  const between = noCounts();
  for (const name of COUNT_NAMES) between[name] = after[name] - before[name];
  return between;
}

export function addCounts(a: Counts, b: Counts): Counts {
  const sum = noCounts();
  for (const name of COUNT_NAMES) sum[name] = a[name] + b[name];
  return sum;
}
