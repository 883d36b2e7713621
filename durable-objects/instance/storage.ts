import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Hello, HelloSchema } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import {
  type ExecutionRecord,
  ExecutionRecordSchema,
  type ExecutionRequest,
  ExecutionRequestSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { migrate } from "../migrate.ts";
import type { EndedSnapshot } from "../scheduler/snapshot.ts";
import { requestFacts } from "./records.ts";
import { RowCache } from "./row-cache.ts";

/** An operation that shares another's execution, or did. */
export interface JoinedOperation {
  readonly executionId: string;
  /** Serialized google.rpc.Status with which it ended before its execution did. */
  readonly error: Uint8Array | undefined;
}

export interface SharingOperation extends Pick<JoinedOperation, "error"> {
  readonly operationId: string;
  /** "" where it isn't known. */
  readonly toolInvocationId: string;
}

/** Ended executions, many in a row. */
export interface HistoryPage {
  /** Higher for later ones. */
  readonly page: number;
  /** Serialized KnownExecutions, the first to end first. */
  readonly executions: Uint8Array;
  /** What the page can be found by. */
  readonly keys: string;
}

/** SQLite's row limit is 2 MB (a platform limit); a request or an end that comes near it is refused by the callers. */
export const MAX_ROW_BYTES = 1_900_000;

/** How much of the executions' requests, and of their records, is in memory: thousands of the usual size. */
const CACHED_BYTES = 4 << 20;

/** The steps that lead from an empty database to the present schema. */
const INSTANCE_SCHEMA: readonly string[] = [
  `
  CREATE TABLE executions (
    execution_id TEXT PRIMARY KEY,
    request BLOB NOT NULL,
    record BLOB NOT NULL,
    ended_at_ms INTEGER,
    spent INTEGER
  ) WITHOUT ROWID;

  CREATE TABLE joined_operations (
    operation_id TEXT PRIMARY KEY,
    execution_id TEXT NOT NULL,
    error BLOB
  ) WITHOUT ROWID;
  CREATE INDEX joined_operations_by_execution ON joined_operations (execution_id);

  CREATE TABLE agents (
    agent_id TEXT PRIMARY KEY,
    hello BLOB NOT NULL
  ) WITHOUT ROWID;

  -- When deadlines began to run that nothing else tells.
  CREATE TABLE clocks (
    name TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  `,
  `CREATE TABLE saved_counters (counters TEXT NOT NULL)`,
  // Executions that have ended, many in a row: see history.ts.
  `CREATE TABLE history (
    page INTEGER PRIMARY KEY,
    executions BLOB NOT NULL,
    keys TEXT NOT NULL
  )`,
  // RequestMetadata.tool_invocation_id; that of an execution's first operation is in its request.
  `ALTER TABLE joined_operations ADD COLUMN tool_invocation_id TEXT NOT NULL DEFAULT ''`,
];

/**
 * The Instance object's tables. Every row is a protobuf message, so that fields can be added while rows of the previous
 * version are there. Writes are billed by the row: a plain execution costs four in its life (queued, leased, ended,
 * forgotten), and its one operation none of its own, since it has the execution's id.
 */
export class InstanceStorage {
  readonly #sql: SqlStorage;
  /** An execution's rows are asked for several times in its short life. */
  readonly #requests = new RowCache<ExecutionRequest>(CACHED_BYTES);
  readonly #records = new RowCache<ExecutionRecord>(CACHED_BYTES);

  constructor(storage: DurableObjectStorage) {
    migrate(storage, INSTANCE_SCHEMA);
    this.#sql = storage.sql;
  }

  /** Neither message is to be changed from then on. */
  addExecution(executionId: string, request: ExecutionRequest, record: ExecutionRecord): void {
    const requestBytes = toBinary(ExecutionRequestSchema, request);
    const recordBytes = toBinary(ExecutionRecordSchema, record);
    this.#sql.exec(
      "INSERT INTO executions (execution_id, request, record) VALUES (?, ?, ?)",
      executionId,
      requestBytes,
      recordBytes,
    );
    this.#requests.set(executionId, request, requestBytes.length);
    this.#records.set(executionId, record, recordBytes.length);
  }

  /** The record is not to be changed from then on. */
  updateExecution(executionId: string, record: ExecutionRecord): void {
    const bytes = toBinary(ExecutionRecordSchema, record);
    const { rowsWritten } = this.#sql.exec(
      "UPDATE executions SET record = ? WHERE execution_id = ?",
      bytes,
      executionId,
    );
    // There is no row of an execution that could not be stored.
    if (rowsWritten > 0) this.#records.set(executionId, record, bytes.length);
  }

  /** Not to be changed: others may get the same. */
  executionRequest(executionId: string): ExecutionRequest | undefined {
    const cached = this.#requests.get(executionId);
    if (cached !== undefined) return cached;
    const query = "SELECT request FROM executions WHERE execution_id = ?";
    for (const row of this.#sql.exec<{ request: ArrayBuffer }>(query, executionId)) {
      const request = fromBinary(ExecutionRequestSchema, new Uint8Array(row.request));
      this.#requests.set(executionId, request, row.request.byteLength);
      return request;
    }
    return undefined;
  }

  /** Not to be changed: others may get the same. */
  executionRecord(executionId: string): ExecutionRecord | undefined {
    const cached = this.#records.get(executionId);
    if (cached !== undefined) return cached;
    const query = "SELECT record FROM executions WHERE execution_id = ?";
    for (const row of this.#sql.exec<{ record: ArrayBuffer }>(query, executionId)) {
      const record = fromBinary(ExecutionRecordSchema, new Uint8Array(row.record));
      this.#records.set(executionId, record, row.record.byteLength);
      return record;
    }
    return undefined;
  }

  /**
   * The record is not to be changed from then on.
   * @param spent whether its attempts were spent, which is remembered for a while
   */
  endExecution(executionId: string, record: ExecutionRecord, endedAtMs: number, spent: boolean): void {
    const bytes = toBinary(ExecutionRecordSchema, record);
    const { rowsWritten } = this.#sql.exec(
      "UPDATE executions SET record = ?, ended_at_ms = ?, spent = ? WHERE execution_id = ?",
      bytes,
      endedAtMs,
      spent ? 1 : 0,
      executionId,
    );
    if (rowsWritten > 0) this.#records.set(executionId, record, bytes.length);
  }

  *liveExecutions(): Iterable<{ id: string; request: ExecutionRequest; record: ExecutionRecord }> {
    const query = "SELECT execution_id, request, record FROM executions WHERE ended_at_ms IS NULL";
    for (const row of this.#sql.exec<{ execution_id: string; request: ArrayBuffer; record: ArrayBuffer }>(query)) {
      yield {
        id: row.execution_id,
        request: fromBinary(ExecutionRequestSchema, new Uint8Array(row.request)),
        record: fromBinary(ExecutionRecordSchema, new Uint8Array(row.record)),
      };
    }
  }

  /** The first to end first. There may be tens of thousands, so only those are parsed whose end matters. */
  *endedExecutions(): Iterable<EndedSnapshot> {
    const query = `SELECT execution_id, ended_at_ms, iif(spent, request, NULL) AS request, iif(spent, record, NULL) AS record
      FROM executions WHERE ended_at_ms IS NOT NULL ORDER BY ended_at_ms`;
    type Row = { execution_id: string; ended_at_ms: number; request: ArrayBuffer | null; record: ArrayBuffer | null };
    for (const { ended_at_ms: endedAtMs, execution_id: id, record, request } of this.#sql.exec<Row>(query)) {
      yield { id, endedAtMs, spent: request === null || record === null ? undefined : spentSnapshot(request, record) };
    }
  }

  /** Those that ended at or after a time, the first to end first. */
  *endedSince(endedAtMs: number): Iterable<{ id: string; request: ExecutionRequest; record: ExecutionRecord }> {
    const query = "SELECT execution_id, request, record FROM executions WHERE ended_at_ms >= ? ORDER BY ended_at_ms";
    type Row = { execution_id: string; request: ArrayBuffer; record: ArrayBuffer };
    for (const row of this.#sql.exec<Row>(query, endedAtMs)) {
      yield {
        id: row.execution_id,
        request: fromBinary(ExecutionRequestSchema, new Uint8Array(row.request)),
        record: fromBinary(ExecutionRecordSchema, new Uint8Array(row.record)),
      };
    }
  }

  /** Pages of the history before `beforePage` whose keys have `key`; the newest first, read as they are asked for. */
  *historyPages(beforePage = Number.MAX_SAFE_INTEGER, key = ""): Iterable<Pick<HistoryPage, "page" | "executions">> {
    const query = `SELECT page, executions FROM history WHERE page < ?1 AND (?2 = '' OR instr(keys, ?2) > 0)
      ORDER BY page DESC`;
    for (const row of this.#sql.exec<{ page: number; executions: ArrayBuffer }>(query, beforePage, key)) {
      yield { page: row.page, executions: new Uint8Array(row.executions) };
    }
  }

  putHistoryPage({ page, executions, keys }: HistoryPage): void {
    this.#sql.exec(
      `INSERT INTO history (page, executions, keys) VALUES (?1, ?2, ?3)
       ON CONFLICT (page) DO UPDATE SET executions = ?2, keys = ?3`,
      page,
      executions,
      keys,
    );
  }

  /** Up to and including `lastPage`. */
  removeHistoryPages(lastPage: number): void {
    this.#sql.exec("DELETE FROM history WHERE page <= ?", lastPage);
  }

  /** Ids of executions in their order, after `afterId`. */
  executionIds(afterId: string, limit: number): string[] {
    const query = "SELECT execution_id FROM executions WHERE execution_id > ? ORDER BY execution_id LIMIT ?";
    return this.#sql
      .exec<{ execution_id: string }>(query, afterId, limit)
      .toArray()
      .map(({ execution_id }) => execution_id);
  }

  /** With all operations that ever shared it. */
  removeExecution(executionId: string): void {
    this.#sql.exec("DELETE FROM executions WHERE execution_id = ?", executionId);
    this.#sql.exec("DELETE FROM joined_operations WHERE execution_id = ?", executionId);
    this.#requests.delete(executionId);
    this.#records.delete(executionId);
  }

  addJoinedOperation(operationId: string, executionId: string, toolInvocationId: string): void {
    this.#sql.exec(
      "INSERT INTO joined_operations (operation_id, execution_id, tool_invocation_id) VALUES (?, ?, ?)",
      operationId,
      executionId,
      toolInvocationId,
    );
  }

  /** Those that share an execution or did, without its first one unless that ended before the others. */
  joinedOperationsOf(executionId: string): SharingOperation[] {
    const query = "SELECT operation_id, error, tool_invocation_id FROM joined_operations WHERE execution_id = ?";
    return this.#sql
      .exec<{ operation_id: string; error: ArrayBuffer | null; tool_invocation_id: string }>(query, executionId)
      .toArray()
      .map((row) => ({
        operationId: row.operation_id,
        error: row.error === null ? undefined : new Uint8Array(row.error),
        toolInvocationId: row.tool_invocation_id,
      }));
  }

  endJoinedOperation(operationId: string, executionId: string, error: Uint8Array): void {
    // The first operation of a merged execution, which has no row until it ends before the others.
    this.#sql.exec(
      `INSERT INTO joined_operations (operation_id, execution_id, error) VALUES (?1, ?2, ?3)
       ON CONFLICT (operation_id) DO UPDATE SET error = ?3`,
      operationId,
      executionId,
      error,
    );
  }

  removeJoinedOperation(operationId: string): void {
    this.#sql.exec("DELETE FROM joined_operations WHERE operation_id = ?", operationId);
  }

  joinedOperation(operationId: string): JoinedOperation | undefined {
    const query = "SELECT execution_id, error FROM joined_operations WHERE operation_id = ?";
    for (const row of this.#sql.exec<{ execution_id: string; error: ArrayBuffer | null }>(query, operationId)) {
      return { executionId: row.execution_id, error: row.error === null ? undefined : new Uint8Array(row.error) };
    }
    return undefined;
  }

  putAgent(agentId: string, hello: Hello): void {
    this.#sql.exec(
      "INSERT INTO agents (agent_id, hello) VALUES (?1, ?2) ON CONFLICT (agent_id) DO UPDATE SET hello = ?2",
      agentId,
      toBinary(HelloSchema, hello),
    );
  }

  agents(): Hello[] {
    return this.#sql
      .exec<{ hello: ArrayBuffer }>("SELECT hello FROM agents")
      .toArray()
      .map(({ hello }) => fromBinary(HelloSchema, new Uint8Array(hello)));
  }

  removeAgent(agentId: string): void {
    this.#sql.exec("DELETE FROM agents WHERE agent_id = ?", agentId);
  }

  /** When the scheduler's clocks began to run, by name. */
  clocks(): Map<string, number> {
    const rows = this.#sql.exec<{ name: string; since_ms: number }>("SELECT name, since_ms FROM clocks").toArray();
    return new Map(rows.map(({ name, since_ms }) => [name, since_ms]));
  }

  putClock(name: string, sinceMs: number): void {
    this.#sql.exec(
      "INSERT INTO clocks (name, since_ms) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET since_ms = ?2",
      name,
      sinceMs,
    );
  }

  removeClock(name: string): void {
    this.#sql.exec("DELETE FROM clocks WHERE name = ?", name);
  }
}

function spentSnapshot(request: ArrayBuffer, record: ArrayBuffer): EndedSnapshot["spent"] {
  const { actionKey } = requestFacts(fromBinary(ExecutionRequestSchema, new Uint8Array(request)));
  return { actionKey, message: fromBinary(ExecutionRecordSchema, new Uint8Array(record)).end?.spent ?? "" };
}
