import { createHash } from "node:crypto";
import type { IncomingMessage, RequestListener } from "node:http";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { clone, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  ActionCache,
  type ActionResult,
  ActionResultSchema,
  type BatchReadBlobsResponse_ResponseSchema,
  type BatchUpdateBlobsResponse_ResponseSchema,
  ContentAddressableStorage,
  type Digest,
  Execution,
  type GetActionResultRequest,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import type { Operation } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { startRawEndpoint } from "./endpoints.ts";

type UpdateResponse = MessageInitShape<typeof BatchUpdateBlobsResponse_ResponseSchema>;
type ReadResponse = MessageInitShape<typeof BatchReadBlobsResponse_ResponseSchema>;

const OK = { code: 0 };

/** A CAS in memory with the services that the bridge's batches concern, which remembers what it was asked. */
export class CasEndpoint {
  readonly blobs = new Map<string, Uint8Array>();
  /** The hashes that each FindMissingBlobs asked for. */
  readonly asked: string[][] = [];
  /** What Execute answers; without it, something is missing. */
  operation: Operation | undefined;
  /** Action results, by the action's hash. */
  readonly results = new Map<string, ActionResult>();
  /** The methods called, by name, in order. */
  readonly calls: string[] = [];
  readonly requests: IncomingMessage["headers"][] = [];
  /** How long each request takes to get here. */
  latencyMs = 0;
  /** Called with each request before it is answered. */
  hold: (method: string) => Promise<unknown> = () => Promise.resolve();
  /** Changes what BatchUpdateBlobs and BatchReadBlobs say of their blobs. */
  onUpdate: (responses: UpdateResponse[]) => UpdateResponse[] = (responses) => responses;
  /** Changes what GetActionResult says, knowing what was stored. */
  onResult: (inlined: ActionResult, stored: ActionResult) => ActionResult = (inlined) => inlined;
  onRead: (responses: ReadResponse[]) => ReadResponse[] = (responses) => responses;

  start(): Promise<URL> {
    const serve = connectNodeAdapter({
      routes: (router) => {
        this.#routes(router);
      },
    });
    const listener: RequestListener = (request, response) => {
      const method = request.url?.split("/").at(-1) ?? "";
      this.calls.push(method);
      this.requests.push(request.headers);
      void Promise.all([sleep(this.latencyMs), this.hold(method)]).then(() => {
        serve(request, response);
      });
    };
    return startRawEndpoint(listener);
  }

  count(method: string): number {
    return this.calls.filter((called) => called === method).length;
  }

  #routes(router: ConnectRouter): void {
    router.rpc(ActionCache.method.getActionResult, (request, { requestHeader }) => {
      const result = this.results.get(request.actionDigest?.hash ?? "");
      if (result === undefined) throw new ConnectError("no result is cached", Code.NotFound);
      return this.onResult(
        this.#inlined(result, request, Number(requestHeader.get("remex-inline-outputs-up-to-bytes") ?? -1)),
        result,
      );
    });
    router.rpc(ContentAddressableStorage.method.findMissingBlobs, ({ blobDigests }) => {
      this.asked.push(blobDigests.map(({ hash }) => hash));
      return { missingBlobDigests: blobDigests.filter(({ hash }) => !this.blobs.has(hash)) };
    });
    router.rpc(Execution.method.execute, () => {
      if (this.operation === undefined) throw new ConnectError("an input is missing", Code.FailedPrecondition);
      return Readable.from([this.operation]);
    });
    router.rpc(ContentAddressableStorage.method.batchUpdateBlobs, ({ requests }) => ({
      responses: this.onUpdate(
        requests.map(({ digest, data }) => ({ ...(digest && { digest }), status: this.#store(digest?.hash, data) })),
      ),
    }));
    router.rpc(ContentAddressableStorage.method.batchReadBlobs, ({ digests }) => ({
      responses: this.onRead(
        digests.map((digest) => {
          const data = this.blobs.get(digest.hash);
          return data === undefined ? { digest, status: { code: Code.NotFound } } : { digest, data, status: OK };
        }),
      ),
    }));
    router.rpc(ByteStream.method.write, async (messages) => {
      const chunks: Uint8Array[] = [];
      let name: string | undefined;
      for await (const { resourceName, data } of messages) {
        name ??= resourceName;
        chunks.push(data);
      }
      const data = Buffer.concat(chunks);
      const { code, message } = this.#store(name?.split("/").at(-2), data);
      if (code !== 0) throw new ConnectError(message, Code.InvalidArgument);
      return { committedSize: BigInt(data.length) };
    });
    router.rpc(ByteStream.method.read, ({ resourceName }) => {
      const data = this.blobs.get(resourceName.split("/").at(-2) ?? "");
      if (data === undefined) throw new ConnectError(`no blob ${resourceName}`, Code.NotFound);
      return Readable.from([{ data }]);
    });
  }

  /** As the Worker does it. */
  #inlined(result: ActionResult, request: GetActionResultRequest, upToBytes: number): ActionResult {
    const bytesOf = (digest: Digest | undefined) => this.blobs.get(digest?.hash ?? "") ?? new Uint8Array();
    const inlined = clone(ActionResultSchema, result);
    if (request.inlineStdout) inlined.stdoutRaw = bytesOf(result.stdoutDigest);
    if (request.inlineStderr) inlined.stderrRaw = bytesOf(result.stderrDigest);
    for (const file of inlined.outputFiles) {
      const isWanted = request.inlineOutputFiles.includes(file.path) || Number(file.digest?.sizeBytes) <= upToBytes;
      if (isWanted) file.contents = bytesOf(file.digest);
    }
    return inlined;
  }

  #store(hash: string | undefined, data: Uint8Array): { code: number; message: string } {
    if (hash !== hashOf(data)) return { code: Code.InvalidArgument, message: `the bytes are not those of ${hash}` };
    this.blobs.set(hash, data);
    return { code: 0, message: "" };
  }
}

export function hashOf(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The resource name of an upload to the instance `main`. */
export function uploadName(data: Uint8Array, hash = hashOf(data)): string {
  return `main/uploads/00000000-0000-4000-8000-000000000000/blobs/${hash}/${data.length}`;
}

export function readName(data: Uint8Array): string {
  return `main/blobs/${hashOf(data)}/${data.length}`;
}

export function digestOf(data: Uint8Array): { hash: string; sizeBytes: bigint } {
  return { hash: hashOf(data), sizeBytes: BigInt(data.length) };
}
