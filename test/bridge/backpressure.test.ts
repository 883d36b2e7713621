import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { ByteStream } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
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

  feed(sink: NodeJS.WritableStream, last: Uint8Array): void {
    while (this.sentBytes < TOTAL_BYTES) {
      this.sentBytes += FRAME.length;
      if (!sink.write(FRAME)) {
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

test("an endpoint that doesn't read holds the client back", async () => {
  const read = Promise.withResolvers<undefined>();
  let receivedBytes = 0;
  const endpoint = await startRawEndpoint((request, response) => {
    void read.promise.then(() => {
      request.on("data", (chunk: Buffer) => (receivedBytes += chunk.length));
    });
    request.once("end", () => response.writeHead(200, GRPC_WEB).end(OK_TRAILERS));
  });
  const session = connect((await startTestBridge(endpoint)).port);
  const stream = open(session, { ":path": pathOf(ByteStream.method.write) });
  const source = new Source();
  source.feed(stream, FRAME);
  await source.standsStill();
  expect(source.sentBytes).toBeGreaterThan(0);
  expect(source.sentBytes).toBeLessThan(IN_FLIGHT_BYTES);

  read.resolve(undefined);
  const { trailers } = await endingOf(stream);
  expect(trailers["grpc-status"]).toBe("0");
  expect(receivedBytes).toBe(TOTAL_BYTES + FRAME.length);
});
