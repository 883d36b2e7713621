import { setImmediate as turn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { ByteStream, WriteRequestSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint } from "./endpoints.ts";
import { connect, endingOf, open } from "./raw-client.ts";

const MIB = 1024 * 1024;
const FRAME = encodeFrame(new Uint8Array(MIB - 5));
const TOTAL_BYTES = 128 * MIB;

/** What may be on its way when one side stands still: the kernel's socket buffers, windows and high-water marks. */
const IN_FLIGHT_BYTES = 32 * MIB;

/** Writes frames for as long as the other side takes them. */
class Source {
  sentBytes = 0;
  readonly #frameAt: (sentBytes: number) => Uint8Array;

  /** @param frameAt the frame that comes after so many bytes of others */
  constructor(frameAt: (sentBytes: number) => Uint8Array = () => FRAME) {
    this.#frameAt = frameAt;
  }

  feed(sink: NodeJS.WritableStream, last: Uint8Array): void {
    while (this.sentBytes < TOTAL_BYTES) {
      const frame = this.#frameAt(this.sentBytes);
      this.sentBytes += frame.length;
      if (!sink.write(frame)) {
        sink.once("drain", () => {
          this.feed(sink, last);
        });
        return;
      }
    }
    sink.end(last);
  }

  /** Resolves when nothing has moved for many turns of the event loop, on which everything here runs. */
  async standsStill(): Promise<void> {
    let seenBytes = -1;
    while (seenBytes !== this.sentBytes) {
      seenBytes = this.sentBytes;
      for (let turns = 0; turns < 2000; turns++) {
        await turn();
      }
    }
  }
}

function pathOf({ parent, name }: { readonly parent: { readonly typeName: string }; readonly name: string }): string {
  return `/${parent.typeName}/${name}`;
}

test("a client that doesn't read holds the endpoint back", async () => {
  const source = new Source();
  const endpoint = await startRawEndpoint((_request, response) => {
    source.feed(response.writeHead(200, GRPC_WEB), OK_TRAILERS);
  });
  const session = connect((await startTestBridge(endpoint)).port);
  const stream = open(session, { ":path": pathOf(ByteStream.method.read) }).end(encodeFrame(new Uint8Array()));
  await source.standsStill();
  expect(source.sentBytes).toBeGreaterThan(0);
  expect(source.sentBytes).toBeLessThan(IN_FLIGHT_BYTES);

  const { body, trailers } = await endingOf(stream);
  expect(body).toHaveLength(TOTAL_BYTES);
  expect(trailers["grpc-status"]).toBe("0");
});

/** An endpoint that reads nothing of a request until it is told to. */
async function startStandingEndpoint() {
  const reading = Promise.withResolvers<undefined>();
  let receivedBytes = 0;
  const url = await startRawEndpoint((request, response) => {
    void reading.promise.then(() => {
      request.on("data", (chunk: Buffer) => (receivedBytes += chunk.length));
    });
    request.once("end", () => response.writeHead(200, GRPC_WEB).end(OK_TRAILERS));
  });
  const read = (): void => {
    reading.resolve(undefined);
  };
  return { url, read, receivedBytes: () => receivedBytes };
}

test("an endpoint that doesn't read holds the client back", async () => {
  const endpoint = await startStandingEndpoint();
  const session = connect((await startTestBridge(endpoint.url)).port);
  const stream = open(session, { ":path": pathOf(ByteStream.method.write) });
  const source = new Source();
  source.feed(stream, FRAME);
  await source.standsStill();
  expect(source.sentBytes).toBeGreaterThan(0);
  expect(source.sentBytes).toBeLessThan(IN_FLIGHT_BYTES);

  endpoint.read();
  const { trailers } = await endingOf(stream);
  expect(trailers["grpc-status"]).toBe("0");
  expect(endpoint.receivedBytes()).toBe(TOTAL_BYTES + FRAME.length);
});

test("an endpoint that doesn't read holds back a large upload, which goes on in other messages", async () => {
  const endpoint = await startStandingEndpoint();
  const bridge = await startTestBridge(endpoint.url, { maxRequestBytes: 10 * TOTAL_BYTES });
  const stream = open(connect(bridge.port), { ":path": pathOf(ByteStream.method.write) });
  let offset = 0;
  const source = new Source(() => {
    const frame = uploadFrame(offset);
    offset += UPLOAD_PIECE.length;
    return frame;
  });
  source.feed(stream, new Uint8Array());
  await source.standsStill();
  expect(source.sentBytes).toBeGreaterThan(0);
  expect(source.sentBytes).toBeLessThan(IN_FLIGHT_BYTES);

  endpoint.read();
  await endingOf(stream);
  expect(endpoint.receivedBytes()).toBeGreaterThan(TOTAL_BYTES);
});

/** Smaller than what Node's streams hold by themselves. */
const UPLOAD_PIECE = new Uint8Array(16 * 1024);

/** A WriteRequest of a blob that is larger than what is sent of it. */
function uploadFrame(offset: number): Uint8Array {
  const resourceName = offset === 0 ? `main/uploads/1/blobs/${"0".repeat(64)}/${2 * TOTAL_BYTES}` : "";
  const request = create(WriteRequestSchema, { resourceName, writeOffset: BigInt(offset), data: UPLOAD_PIECE });
  return encodeFrame(toBinary(WriteRequestSchema, request));
}
