import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type KnownExecution,
  type KnownExecutions,
  KnownExecutionsSchema,
} from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type ActionIdentity, identityKey, identityOf } from "./action-identity.ts";
import { bounded, knownExecution } from "./known-execution.ts";
import type { InstanceStorage } from "./storage.ts";

/** Executions in a row: a row written is what is billed, however many it holds. */
const PAGE_EXECUTIONS = 64;

/** How soon after an execution's end it is in its page. An object that does nothing stays in memory for longer than this. */
const WRITE_DELAY_MS = 3000;

/**
 * Executions that have ended, as people look them up: the last `maxExecutions` of them, in pages of many executions to the
 * row. The newest page is in memory too, and is written when it is full, or a few seconds after the first that came into it.
 * Until then the executions' own rows have what it holds, so that nothing is lost with the object's memory.
 */
export class History {
  readonly #storage: InstanceStorage;
  readonly #maxPages: number;
  #newest: { readonly page: number; readonly executions: KnownExecution[] };
  #willWrite = false;

  constructor(storage: InstanceStorage, maxExecutions: number) {
    this.#storage = storage;
    this.#maxPages = Math.ceil(maxExecutions / PAGE_EXECUTIONS);
    const [newest] = storage.historyPages();
    this.#newest =
      newest === undefined ? { page: 1, executions: [] } : { page: newest.page, executions: parse(newest) };
    if (this.#maxPages > 0) this.#recover();
  }

  /** An execution that has just ended. */
  add(known: KnownExecution): void {
    if (this.#maxPages === 0) return;
    this.#newest.executions.push(bounded(known));
    if (this.#newest.executions.length >= PAGE_EXECUTIONS) {
      this.#write();
      this.#newest = { page: this.#newest.page + 1, executions: [] };
    } else {
      this.#writeSoon();
    }
  }

  /** The one that an operation waited for. */
  ofOperation(operationId: string): KnownExecution | undefined {
    for (const known of this.#having(operationKey(operationId))) {
      if (known.record?.operations.some((operation) => operation.operationId === operationId)) return known;
    }
    return undefined;
  }

  /** At most `limit` of a build, the last to end first. */
  ofInvocation(invocationId: string, limit: number): KnownExecution[] {
    return this.#having(invocationKey(invocationId))
      .filter(({ record }) => record?.toolInvocationId === invocationId)
      .take(limit)
      .toArray();
  }

  /** The last execution of such an action that was queued before a time. */
  lastOf(identity: ActionIdentity, beforeMs: number): KnownExecution | undefined {
    const key = identityKey(identity);
    return this.#having(actionKey(key)).find(
      (known) => identityKey(identityOf(known.request)) === key && queuedAtMs(known) < beforeMs,
    );
  }

  /** At most `limit`, the last to end first. */
  latest(limit: number): KnownExecution[] {
    return this.#having("").take(limit).toArray();
  }

  /** Those of all pages whose keys have `key`, and maybe others; the last to end first. */
  *#having(key: string): IteratorObject<KnownExecution, undefined> {
    yield* this.#newest.executions.toReversed();
    for (const page of this.#storage.historyPages(this.#newest.page, key)) yield* parse(page).reverse();
  }

  #writeSoon(): void {
    if (this.#willWrite) return;
    this.#willWrite = true;
    setTimeout(() => {
      this.#willWrite = false;
      if (this.#newest.executions.length > 0) this.#write();
    }, WRITE_DELAY_MS);
  }

  #write(): void {
    const { page, executions } = this.#newest;
    const keys = new Set(executions.flatMap(keysOf));
    const bytes = toBinary(KnownExecutionsSchema, { $typeName: "remex.instance.v1.KnownExecutions", executions });
    this.#storage.putHistoryPage({ page, executions: bytes, keys: [...keys].join("") });
    if (executions.length >= PAGE_EXECUTIONS) this.#storage.removeHistoryPages(page - this.#maxPages);
  }

  /** Takes up what ended before the object's memory was lost, and was not in its page yet. */
  #recover(): void {
    const present = new Set(this.#newest.executions.map(({ executionId }) => executionId));
    const lastEndMs = Math.max(0, ...this.#newest.executions.map(endedAtMs));
    for (const { id, request, record } of this.#storage.endedSince(lastEndMs)) {
      if (!present.has(id)) this.add(knownExecution(id, request, record));
    }
  }
}

function parse({ executions }: { readonly executions: Uint8Array }): KnownExecutions["executions"] {
  return fromBinary(KnownExecutionsSchema, executions).executions;
}

function endedAtMs({ record }: KnownExecution): number {
  return record?.end?.timestamp === undefined ? 0 : timestampMs(record.end.timestamp);
}

function queuedAtMs({ record }: KnownExecution): number {
  return record?.queuedTimestamp === undefined ? 0 : timestampMs(record.queuedTimestamp);
}

/** What pages are found by: lines of text, looked for as a whole. */
function keysOf({ record, request }: KnownExecution): string[] {
  const operations = record?.operations.map(({ operationId }) => operationKey(operationId)) ?? [];
  return [...operations, invocationKey(record?.toolInvocationId ?? ""), actionKey(identityKey(identityOf(request)))];
}

function operationKey(operationId: string): string {
  return `\no ${JSON.stringify(operationId)}\n`;
}

function invocationKey(invocationId: string): string {
  return `\ni ${JSON.stringify(invocationId)}\n`;
}

function actionKey(identity: string): string {
  return `\na ${identity}\n`;
}
