/**
 * What Cloudflare asks for on the Workers Paid plan, in US dollars, as published in November 2026 on the pricing pages of
 * Workers, Durable Objects and R2 (standard storage). The amounts that the plan includes each month are not taken off,
 * since a bill that grows with use should be seen from its first action on.
 */
export const PRICES = {
  /** Workers: "requests", $0.30 a million. */
  workerRequest: 0.3 / 1e6,
  /** Workers: "CPU time", $0.02 a million milliseconds. Waiting is free. */
  workerCpuMs: 0.02 / 1e6,
  /** Durable Objects: "requests", $0.15 a million: HTTP requests, calls of methods, alarms. */
  objectRequest: 0.15 / 1e6,
  /** Durable Objects: twenty received WebSocket messages count as one request. Answers to pings are free. */
  socketMessage: 0.15 / 1e6 / 20,
  /**
   * Durable Objects: "duration", $12.50 a million GB-s, for 128 MB whatever is used. It runs while an object handles
   * something; one that is idle and could hibernate is not charged, even before it does.
   */
  objectActiveMs: (12.5 / 1e6) * (128 / 1000) * (1 / 1000),
  /** Durable Objects, SQLite: "rows read", $0.001 a million. */
  rowRead: 0.001 / 1e6,
  /** Durable Objects, SQLite: "rows written", $1.00 a million. An index entry is a row, and so is setting an alarm. */
  rowWritten: 1 / 1e6,
  /** R2: "class A operations" (put, list, multipart uploads and their parts), $4.50 a million. */
  r2ClassA: 4.5 / 1e6,
  /** R2: "class B operations" (get, head), $0.36 a million. Deletes are free, and so is what leaves R2. */
  r2ClassB: 0.36 / 1e6,
  /** Durable Objects, SQLite: "stored data", $0.20 a GB and month. */
  objectByteMonth: 0.2 / 1e9,
  /** R2: "storage", $0.015 a GB and month. */
  r2ByteMonth: 0.015 / 1e9,
} as const;
