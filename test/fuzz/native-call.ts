import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2";
import { type Answer, codeName } from "./answer.ts";
import { Violation } from "./violation.ts";

/** After so long without an end there will be none. */
const PATIENCE_MS = 60_000;

/**
 * Calls over native gRPC, with nothing between the test and HTTP/2, and reads no more of the answer than its end.
 * @param ends whether the request does
 * @throws Violation if the call is reset, or has no status
 */
export function callNatively(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  ends = true,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let ending: IncomingHttpHeaders = {};
    const timer = setTimeout(() => {
      stream.close();
      reject(new Violation(`${path}: no end within ${PATIENCE_MS / 1000} s`));
    }, PATIENCE_MS);
    stream.on("response", (received: IncomingHttpHeaders) => (ending = received));
    stream.on("trailers", (received: IncomingHttpHeaders) => (ending = received));
    stream.on("end", () => {
      stream.close();
    });
    stream.on("error", (error: Error) => {
      clearTimeout(timer);
      reject(new Violation(`${path}: ${error.message}`));
    });
    stream.on("close", () => {
      clearTimeout(timer);
      const { "grpc-message": text, "grpc-status": status } = ending;
      if (typeof status !== "string") reject(new Violation(`${path}: the call ended without a status`));
      else resolve({ httpStatus: 200, code: codeName(Number(status)), text: typeof text === "string" ? text : "" });
    });
    stream.resume();
    if (ends) stream.end(body);
    else stream.write(body);
  });
}
