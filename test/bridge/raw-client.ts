import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import { onTestFinished } from "vitest";

/** HTTP/2 with no gRPC client between, for what such a client would not send or would hide. */
export function connect(port: number): ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  onTestFinished(() => {
    session.destroy();
  });
  return session;
}

export const GRPC_CALL = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };

/** A stream whose request body is left to the caller. */
export function open(session: ClientHttp2Session, headers: IncomingHttpHeaders): ClientHttp2Stream {
  const stream = session.request({ ...GRPC_CALL, ...headers });
  stream.on("error", () => undefined);
  return stream;
}

export interface RawEnding {
  readonly headers: IncomingHttpHeaders;
  /** The trailers, or the headers where there is nothing else. */
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The HTTP/2 error code of the stream; 0 if it was not reset. */
  readonly resetCode: number;
}

/** Reads a stream to its end. */
export function endingOf(stream: ClientHttp2Stream): Promise<RawEnding> {
  return new Promise((resolve) => {
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | undefined;
    const chunks: Buffer[] = [];
    stream.once("response", (received: IncomingHttpHeaders) => (headers = received));
    stream.once("trailers", (received: IncomingHttpHeaders) => (trailers = received));
    // As gRPC clients do, which send no more once they have the status.
    stream.once("end", () => {
      stream.close();
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("close", () => {
      resolve({ headers, trailers: trailers ?? headers, body: Buffer.concat(chunks), resetCode: stream.rstCode });
    });
  });
}
