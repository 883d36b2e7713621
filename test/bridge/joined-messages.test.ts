import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import net from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import type { BridgeLimits } from "../../bridge/limits.ts";
import { startTestBridge } from "./bridges.ts";
import { connect, endingOf, open } from "./raw-client.ts";

const CALL = { ":path": "/a.Service/Method" };

/** The lengths of the chunks of HTTP/1.1 in which a request came that is whole; undefined if it isn't. */
function chunkLengths(request: Buffer): number[] | undefined {
  const lengths: number[] = [];
  let at = request.indexOf("\r\n\r\n") + 4;
  for (;;) {
    const lineEnd = request.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const length = Number.parseInt(request.toString("latin1", at, lineEnd), 16);
    if (length === 0) return lengths;
    lengths.push(length);
    at = lineEnd + 2 + length + 2;
  }
}

/** A client of a bridge whose endpoint tells in the status's message in which chunks a call's request came. */
async function start(limits: Partial<BridgeLimits>): Promise<ClientHttp2Session> {
  const endpoint = net.createServer((socket) => {
    let request = Buffer.alloc(0);
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      request = Buffer.concat([request, bytes]);
      const lengths = chunkLengths(request);
      if (lengths === undefined) return;
      request = Buffer.alloc(0);
      const head =
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 0\r\n" +
        `grpc-status: 0\r\ngrpc-message: ${lengths.join(" ")}\r\n\r\n`;
      socket.write(head);
    });
  });
  endpoint.listen(0, "127.0.0.1");
  await once(endpoint, "listening");
  onTestFinished(() => {
    endpoint.close();
  });
  const address = endpoint.address();
  if (typeof address !== "object" || address === null) throw new Error("the endpoint has no port");
  return connect((await startTestBridge(new URL(`http://127.0.0.1:${address.port}`), limits)).port);
}

/** Sends an empty message, and one in pieces, each of which is a frame of HTTP/2; returns the chunks in which they came. */
async function chunksOf(session: ClientHttp2Session, message: Uint8Array, pieceBytes: number): Promise<string> {
  const stream = open(session, CALL);
  // What goes out together with the request's headers isn't joined by Node.
  await new Promise((resolve) => stream.write(encodeFrame(new Uint8Array()), resolve));
  for (let at = 0; at < message.length; at += pieceBytes) {
    // What is written before the last piece has been sent would go into one frame with others.
    await new Promise((resolve) => stream.write(message.subarray(at, at + pieceBytes), resolve));
  }
  stream.end();
  const { trailers } = await endingOf(stream);
  expect(trailers["grpc-status"]).toBe("0");
  return String(trailers["grpc-message"]);
}

test("a message goes to the endpoint in one chunk, and a large one in few", async () => {
  const session = await start({ joinedMessageBytes: 2000 });
  expect(await chunksOf(session, encodeFrame(new Uint8Array(995)), 100)).toBe("5 1000");
  expect(await chunksOf(session, encodeFrame(new Uint8Array(4495)), 100)).toBe("5 2000 2000 500");
});

test("what calls may hold together is theirs for as long as they last", async () => {
  const session = await start({ joinedMessagesBytes: 1000 });
  const message = encodeFrame(new Uint8Array(195));
  const given = open(session, CALL);
  await new Promise((resolve) => given.write(encodeFrame(new Uint8Array(2000)).subarray(0, 950), resolve));
  expect(await chunksOf(session, message, 100)).toBe("5 100 100");

  // Unlike close(), it doesn't end the request first.
  given.destroy();
  await expect.poll(() => chunksOf(session, message, 100)).toBe("5 200");
});
