import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ExecutionStage_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { PreconditionFailureSchema } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { type ActionOptions, blobOf, type PreparedAction, prepareAction } from "./action.ts";
import { type Clients, execute, executeResponse, INSTANCE, stageOf, toTheEnd, upload } from "./clients.ts";
import { failure, statusError, toArray } from "./outcome.ts";
import { forEachProtocol } from "./protocols.ts";

forEachProtocol(
  (protocol, clients) => {
    /** An action that no other protocol's tests have run. */
    const prepare = (options: ActionOptions) => prepareAction({ ...options, salt: protocol + (options.salt ?? "") });

    describe("Execution", () => {
      it("runs an action and streams its stages", async () => {
        const action = prepare({
          script: 'cat greeting > out/copy && echo "in $PWD" >&2 && echo done',
          inputs: { greeting: "hello\n" },
          outputPaths: ["out/copy"],
          properties: { OSFamily: "linux" },
        });

        const { stages, response, operations } = await execute(clients(), action);

        expect(response.status?.code ?? 0, response.status?.message).toBe(0);
        expect(response.cachedResult).toBe(false);
        expect(response.result?.exitCode).toBe(0);
        expect(text(response.result?.stdoutRaw)).toBe("done\n");
        expect(response.result?.outputFiles.map(({ path, digest }) => [path, digest?.hash])).toEqual([
          ["out/copy", blobOf("hello\n").digest.hash],
        ]);
        expect(response.result?.executionMetadata?.worker).not.toBe("");
        expect(stages.at(-1)).toBe(ExecutionStage_Value.COMPLETED);
        expect(stages).toEqual(stages.toSorted((a, b) => (a ?? 0) - (b ?? 0)));
        expect(new Set(operations.map(({ name }) => name)).size).toBe(1);
        expect(operations[0]?.name).toMatch(new RegExp(`^${INSTANCE}/operations/[^/]+/[^/]+$`));
      });

      it("answers from the cache, unless told not to", async () => {
        const action = prepare({ script: "echo once", salt: "cached" });
        const first = await execute(clients(), action);

        const second = await execute(clients(), action);
        const third = await execute(clients(), action, { skipCacheLookup: true });

        expect([first, second, third].map(({ response }) => response.cachedResult)).toEqual([false, true, false]);
        expect(text(second.response.result?.stdoutRaw)).toBe("once\n");
      });

      it("never caches do_not_cache", async () => {
        const action = prepare({ script: "true", doNotCache: true });
        await execute(clients(), action);

        const { response } = await execute(clients(), action);

        expect(response.cachedResult).toBe(false);
      });

      it("reports a command that fails, and does not cache it", async () => {
        const action = prepare({ script: "echo bad luck >&2; exit 3" });
        const first = await execute(clients(), action, { inlineStderr: true });

        const second = await execute(clients(), action, { inlineStderr: true });

        for (const { response } of [first, second]) {
          expect(response.status?.code ?? 0).toBe(0);
          expect(response.result?.exitCode).toBe(3);
          expect(text(response.result?.stderrRaw)).toBe("bad luck\n");
          expect(response.cachedResult).toBe(false);
        }
      });

      it("kills a command at its time limit", async () => {
        const action = prepare({ script: "echo begun; sleep 60", timeout: { seconds: 0n, nanos: 200_000_000 } });

        const { response } = await execute(clients(), action);

        expect(response.status?.code).toBe(Code.DeadlineExceeded);
        expect(text(response.result?.stdoutRaw)).toBe("begun\n");
      });

      it("refuses a time limit above the scheduler's, naming both", async () => {
        const error = await refusal(clients(), prepare({ script: "true", timeout: { seconds: 61n, nanos: 0 } }));

        expect(error.code).toBe(Code.InvalidArgument);
        expect(error.message).toMatch(/61/);
        expect(error.message).toMatch(/60/);
      });

      it("refuses a property that nobody offers, naming it", async () => {
        const error = await refusal(clients(), prepare({ script: "true", properties: { pool: `of ${protocol}` } }));

        expect(error.code).toBe(Code.ResourceExhausted);
        expect(error.message).toContain("pool");
        expect(error.message).toContain(`of ${protocol}`);
      });

      it("says NOT_FOUND for an Action that is not in the CAS", async () => {
        const { digest } = prepare({ script: "true", salt: "never uploaded" });

        const error = await refusal(clients(), { digest, blobs: [] });

        expect(error.code).toBe(Code.NotFound);
        expect(error.missing).toEqual([`blobs/${digest.hash}/${digest.sizeBytes}`]);
      });

      it("names every input that is missing", async () => {
        const action = prepare({ script: "true", inputs: { a: `a of ${protocol}`, b: `b of ${protocol}` } });
        const [, , , ...files] = action.blobs;

        const error = await refusal(clients(), { ...action, blobs: action.blobs.slice(0, 3) });

        expect(error.code).toBe(Code.FailedPrecondition);
        expect(error.missing.toSorted()).toEqual(
          files.map(({ digest }) => `blobs/${digest.hash}/${digest.sizeBytes}`).toSorted(),
        );
      });

      it("names a Command that is missing", async () => {
        const action = prepare({ script: "echo command that is missing" });
        const command = action.blobs[1];

        const error = await refusal(clients(), { ...action, blobs: action.blobs.filter((blob) => blob !== command) });

        expect(error.code).toBe(Code.FailedPrecondition);
        expect(error.missing).toEqual([`blobs/${command?.digest.hash ?? ""}/${command?.digest.sizeBytes ?? ""}`]);
      });

      it("refuses an Action that is none", async () => {
        const nonsense = blobOf(`\xff\xff\xff ${protocol}`);

        const error = await refusal(clients(), { digest: nonsense.digest, blobs: [nonsense] });

        expect(error.code).toBe(Code.InvalidArgument);
      });

      it("lets others wait for an operation, live and completed", async () => {
        const action = prepare({ script: "echo waited for", doNotCache: true });
        await upload(clients(), action.blobs);
        const stream = clients().execution.execute({ instanceName: INSTANCE, actionDigest: action.digest });
        const name = await firstName(stream);

        const live = await toTheEnd(clients().execution.waitExecution({ name }));
        const completed = await toTheEnd(clients().execution.waitExecution({ name }));

        expect(live.response.result?.exitCode).toBe(0);
        expect(completed.name).toBe(name);
        expect(completed.response.result?.exitCode).toBe(0);
      });

      it("says NOT_FOUND for an operation that it does not know", async () => {
        const name = `${INSTANCE}/operations/0/${randomUUID()}`;

        const error = await failure(toArray(clients().execution.waitExecution({ name })));

        expect(error.code).toBe(Code.NotFound);
        expect(error.rawMessage).toContain(name);
      });
    });

    describe("Operations", () => {
      it("gets, lists and waits for an operation", async () => {
        const { name } = await execute(clients(), prepare({ script: "true", salt: "got" }));

        const got = await clients().operations.getOperation({ name });
        const waited = await clients().operations.waitOperation({ name });
        const listed = await listAll(clients());

        for (const operation of [got, waited]) {
          expect(operation).toMatchObject({ name, done: true });
          expect(stageOf(operation)).toBe(ExecutionStage_Value.COMPLETED);
          expect(executeResponse(operation)?.result?.exitCode).toBe(0);
        }
        expect(listed.map((operation) => operation.name)).toContain(name);
      });

      it("cancels a running operation", async () => {
        const action = prepare({ script: "sleep 60", doNotCache: true });
        await upload(clients(), action.blobs);
        const operations: Operation[] = [];
        for await (const operation of clients().execution.execute({
          instanceName: INSTANCE,
          actionDigest: action.digest,
        })) {
          operations.push(operation);
          if (operations.length === 1) await clients().operations.cancelOperation({ name: operation.name });
        }

        const last = operations.at(-1);
        expect(last?.done).toBe(true);
        const response = last && executeResponse(last);
        const code = last?.result.case === "error" ? last.result.value.code : response?.status?.code;
        expect(code).toBe(Code.Canceled);
      });

      it("says NOT_FOUND for an operation that it does not know", async () => {
        const name = `${INSTANCE}/operations/0/${randomUUID()}`;

        const error = await failure(clients().operations.getOperation({ name }));

        expect(error.code).toBe(Code.NotFound);
      });
    });
  },
  { no_worker_timeout_s: 0.2, max_action_timeout_s: 60, default_action_timeout_s: 30 },
);

interface Refusal {
  readonly code: Code;
  readonly message: string;
  /** The blobs that it says are missing. */
  readonly missing: readonly string[];
}

/** The error that Execute ends with, whether it comes as the call's status or in the response. */
async function refusal(clients: Clients, { digest, blobs }: PreparedAction): Promise<Refusal> {
  if (blobs.length > 0) await upload(clients, blobs);
  const stream = clients.execution.execute({ instanceName: INSTANCE, actionDigest: digest });
  const error = await toTheEnd(stream).then(
    ({ response }) => statusError(response.status),
    (error: unknown) => ConnectError.from(error),
  );
  const violations = error.findDetails(PreconditionFailureSchema).flatMap((detail) => detail.violations);
  expect(violations.map(({ type }) => type)).toEqual(violations.map(() => "MISSING"));
  return { code: error.code, message: error.rawMessage, missing: violations.map(({ subject }) => subject) };
}

async function firstName(stream: AsyncIterable<Operation>): Promise<string> {
  for await (const { name } of stream) return name;
  throw new Error("the stream ended without an operation");
}

async function listAll({ operations }: Clients): Promise<Operation[]> {
  const found: Operation[] = [];
  let pageToken = "";
  do {
    const page = await operations.listOperations({ name: `${INSTANCE}/operations`, pageSize: 5, pageToken });
    found.push(...page.operations);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return found;
}

function text(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}
