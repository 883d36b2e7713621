import { once } from "node:events";
import http, { type RequestListener } from "node:http";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { onTestFinished } from "vitest";
import { encodeFrame, TRAILERS_FLAG } from "../../bridge/frames.ts";

/** An endpoint that answers as `listener` says, over plain HTTP/1.1; it ends with the test. */
export async function startRawEndpoint(listener: RequestListener): Promise<URL> {
  // Idle connections are the bridge's to close.
  const server = http.createServer({ keepAliveTimeout: 0 }, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (typeof address !== "object" || address === null) {
    throw new Error("the endpoint has no port");
  }
  return new URL(`http://127.0.0.1:${address.port}`);
}

/** An endpoint that serves the services of `routes` by Connect's own handlers, gRPC-Web among their protocols. */
export function startEndpoint(routes: (router: ConnectRouter) => void): Promise<URL> {
  return startRawEndpoint(connectNodeAdapter({ routes }));
}

export const GRPC_WEB = { "content-type": "application/grpc-web+proto" };

export function trailerFrame(text: string): Uint8Array {
  return encodeFrame(Buffer.from(text), TRAILERS_FLAG);
}

export const OK_TRAILERS = trailerFrame("grpc-status: 0\r\n");
