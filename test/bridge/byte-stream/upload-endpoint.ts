import type { Socket } from "node:net";
import { Code, ConnectError, type ConnectRouter, createContextKey, createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ByteStream, type WriteRequest } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { hashOf } from "../cas-endpoint.ts";
import { startRawEndpoint } from "../endpoints.ts";

const SOCKET = createContextKey<Socket | undefined>(undefined);

/** One Write as the endpoint saw it. */
export interface SeenWrite {
  readonly resourceName: string;
  readonly offset: number;
  dataBytes: number;
}

/** Takes uploads as the Worker does: in parts, of which only those that are whole are kept when a request ends early. */
export class UploadEndpoint {
  readonly blobs = new Map<string, Buffer>();
  readonly writes: SeenWrite[] = [];
  /** The largest body of a Write so far. */
  largestBodyBytes = 0;
  queries = 0;
  /** Looks at each message, and may break the connection, throw or wait. */
  onMessage: (write: SeenWrite, connection: { break: () => void }) => unknown = () => undefined;
  onQuery: () => void = () => undefined;
  readonly #partBytes: number;
  readonly #committed = new Map<string, Buffer>();

  constructor(partBytes: number) {
    this.#partBytes = partBytes;
  }

  start(): Promise<URL> {
    const serve = connectNodeAdapter({
      routes: (router) => {
        this.#routes(router);
      },
      contextValues: (request) => createContextValues().set(SOCKET, request.socket),
    });
    return startRawEndpoint((request, response) => {
      let bodyBytes = 0;
      const push = request.push.bind(request);
      request.push = (chunk: Buffer | null) => {
        bodyBytes += chunk?.length ?? 0;
        this.largestBodyBytes = Math.max(this.largestBodyBytes, bodyBytes);
        return push(chunk);
      };
      serve(request, response);
    });
  }

  /** Has so much of a blob committed, whatever was received. */
  commit(resourceName: string, data: Buffer): void {
    this.#committed.set(resourceName, data);
  }

  /** What was committed of an upload. */
  committedBytes(resourceName: string): number {
    return this.#committed.get(resourceName)?.length ?? 0;
  }

  #routes(router: ConnectRouter): void {
    router.rpc(ByteStream.method.write, async (messages, { values }) => {
      return { committedSize: await this.#write(messages, () => values.get(SOCKET)?.destroy()) };
    });
    router.rpc(ByteStream.method.queryWriteStatus, ({ resourceName }) => {
      this.queries++;
      this.onQuery();
      const blob = this.blobs.get(hashIn(resourceName));
      return blob === undefined
        ? { committedSize: BigInt(this.committedBytes(resourceName)) }
        : { committedSize: BigInt(blob.length), complete: true };
    });
  }

  async #write(messages: AsyncIterable<WriteRequest>, breakConnection: () => void): Promise<bigint> {
    const chunks: Uint8Array[] = [];
    let write: SeenWrite | undefined;
    let end = 0;
    let finished = false;
    try {
      for await (const message of messages) {
        if (write === undefined) {
          const { resourceName, writeOffset } = message;
          write = { resourceName, offset: Number(writeOffset), dataBytes: 0 };
          this.writes.push(write);
          const blob = this.blobs.get(hashIn(resourceName));
          if (blob !== undefined) return BigInt(blob.length);
          chunks.push(this.#committed.get(resourceName) ?? Buffer.alloc(0));
          end = this.committedBytes(resourceName);
        }
        if (Number(message.writeOffset) !== end) {
          throw new ConnectError(`write_offset ${message.writeOffset} is not ${end}`, Code.InvalidArgument);
        }
        if (message.resourceName !== "" && message.resourceName !== write.resourceName) {
          throw new ConnectError("another name", Code.InvalidArgument);
        }
        chunks.push(message.data);
        end += message.data.length;
        write.dataBytes += message.data.length;
        if (end > sizeIn(write.resourceName)) throw new ConnectError("too much", Code.InvalidArgument);
        await this.onMessage(write, { break: breakConnection });
        if (message.finishWrite) {
          finished = true;
          break;
        }
      }
    } finally {
      if (write !== undefined && !finished) {
        const committedBytes = Math.floor(end / this.#partBytes) * this.#partBytes;
        if (committedBytes > this.committedBytes(write.resourceName)) {
          this.commit(write.resourceName, Buffer.concat(chunks).subarray(0, committedBytes));
        }
      }
    }
    if (write === undefined) throw new ConnectError("no message", Code.InvalidArgument);
    if (!finished) return BigInt(this.committedBytes(write.resourceName));
    const hash = hashIn(write.resourceName);
    const data = Buffer.concat(chunks);
    if (hashOf(data) !== hash) throw new ConnectError(`the bytes are not those of ${hash}`, Code.InvalidArgument);
    this.blobs.set(hash, data);
    return BigInt(data.length);
  }
}

function hashIn(resourceName: string): string {
  return resourceName.split("/").at(-2) ?? "";
}

function sizeIn(resourceName: string): number {
  return Number(resourceName.split("/").at(-1));
}
