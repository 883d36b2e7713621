import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import { join } from "node:path";
import type { BlobSource, StreamedBlob } from "../fixtures/blobs.ts";
import { STREAM_CHUNK_BYTES } from "../fixtures/upload.ts";
import { closedLoop, type Operation } from "../load/closed-loop.ts";
import { startWorkerd } from "../remex/workerd.ts";
import { partSizeFor } from "../../src/blob-store/part-size.ts";
import type { RawR2Name } from "../scenarios/scenario.ts";
import type { Baseline } from "./baseline.ts";
import { PART_BYTES_HEADER } from "./raw-r2-protocol.ts";

/** R2's put and get through a Worker that does nothing else, over plain HTTP. */
export async function rawR2(name: RawR2Name, bundles: string, directory: string, blobs: BlobSource): Promise<Baseline> {
  const worker = await startWorkerd({
    script: join(bundles, "raw-r2-worker.js"),
    dataDirectory: directory,
    worker: { r2Buckets: { BUCKET: "raw" } },
  });
  const agent = new http.Agent({ keepAlive: true });
  const inParts = name.includes("multipart");
  const isPut = name.endsWith("put");
  const request = (method: string, { digest }: StreamedBlob): http.ClientRequest => {
    const partBytes = partSizeFor(Number(digest.sizeBytes));
    return http.request(new URL(digest.hash, worker.url), {
      agent,
      method,
      ...(method === "PUT" && {
        headers: {
          "content-length": String(digest.sizeBytes),
          ...(inParts && { [PART_BYTES_HEADER]: String(partBytes) }),
        },
      }),
    });
  };

  async function put(blob: StreamedBlob): Promise<void> {
    const call = request("PUT", blob);
    const response = responseOf(call);
    response.catch(() => undefined);
    for (const chunk of blob.chunks(STREAM_CHUNK_BYTES)) {
      if (!call.write(chunk)) await Promise.race([once(call, "drain"), response]);
    }
    call.end();
    await drain(await response, 204);
  }

  async function get(blob: StreamedBlob): Promise<void> {
    const call = request("GET", blob);
    const response = responseOf(call);
    call.end();
    const bytes = await drain(await response, 200);
    if (bytes !== Number(blob.digest.sizeBytes)) throw new Error(`${bytes} of ${blob.digest.sizeBytes} bytes read`);
  }

  const stored = new Map<number, StreamedBlob>();
  return {
    name,
    operation: `${name.slice("raw ".length)} through a bare Worker`,
    pid: worker.pid,
    async run({ bytes = 0, concurrency }, count) {
      const operations: Operation[] = [];
      for (let i = 0; i < count; i++) {
        let blob = stored.get(bytes);
        if (isPut) blob = blobs.streamed(bytes);
        else if (blob === undefined) {
          blob = blobs.streamed(bytes);
          await put(blob);
          stored.set(bytes, blob);
        }
        const of = blob;
        operations.push(async () => {
          await (isPut ? put(of) : get(of));
          return undefined;
        });
      }
      return closedLoop(operations, concurrency);
    },
    async stop() {
      agent.destroy();
      await worker.stop();
    },
  };
}

async function responseOf(call: http.ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  call.once("response", resolve);
  call.on("error", reject);
  return promise;
}

/** Reads the answer to its end. Returns the size of its body. */
async function drain(response: IncomingMessage, expectedStatus: number): Promise<number> {
  let bytes = 0;
  response.on("data", (chunk: Buffer) => (bytes += chunk.length));
  await once(response, "end");
  if (response.statusCode !== expectedStatus) throw new Error(`the bare Worker answered ${response.statusCode ?? 0}`);
  return bytes;
}
