import http from "node:http";
import { type Answer, readAnswer } from "./answer.ts";
import { Violation } from "./violation.ts";

/** After so long without an answer there will be none. */
const PATIENCE_MS = 60_000;

export interface RawRequest {
  readonly method: string;
  /** As it goes over the wire. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/**
 * Sends a request with nothing between it and the wire.
 * @throws Violation if there is no answer
 */
export function sendRaw(url: string, { body, headers, method, path }: RawRequest): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = http.request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () => {
        clearTimeout(timer);
        resolve(readAnswer(response.statusCode ?? 0, response.headers["content-type"] ?? "", Buffer.concat(chunks)));
      });
    });
    const timer = setTimeout(() => {
      request.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s`));
    }, PATIENCE_MS);
    function fail(error: Error): void {
      clearTimeout(timer);
      reject(new Violation(`the connection broke: ${error.message}`));
    }
    request.on("error", fail);
    request.end(body);
  });
}
