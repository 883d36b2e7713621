import http, { type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import type { SecureContextOptions } from "node:tls";
import type { BridgeLimits } from "./limits.ts";
import { endpointAgent } from "../endpoint/endpoint-agent.ts";
import { readAfterWriteFailure } from "./read-after-write-failure.ts";
import type { Upstream, UpstreamCall, UpstreamResponse } from "./upstream.ts";

/** The endpoint over HTTP/1.1: a kept-alive connection carries one call at a time, in both directions at once. */
export function createHttp1Upstream(
  endpoint: URL,
  limits: Pick<BridgeLimits, "maxCalls" | "upstreamIdleMs">,
  trust: SecureContextOptions = {},
): Upstream {
  const { request } = endpoint.protocol === "https:" ? https : http;
  const agent = endpointAgent(endpoint, {
    ...trust,
    keepAlive: true,
    // A health probe may come beside the calls.
    maxSockets: limits.maxCalls + 1,
    maxFreeSockets: 256,
    timeout: limits.upstreamIdleMs,
    onSocket: readAfterWriteFailure,
  });
  const basePath = endpoint.pathname.replace(/\/+$/, "");
  const shared = {
    agent,
    protocol: endpoint.protocol,
    hostname: endpoint.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: endpoint.port,
    // A status in the head carries its details there.
    maxHeaderSize: 256 * 1024,
  };

  return {
    endpoint,

    ready() {
      return undefined;
    },

    call(path, headers): UpstreamCall {
      return startCall(request({ ...shared, method: "POST", path: basePath + path, headers }));
    },

    async isHealthy(timeoutMs) {
      const headers: OutgoingHttpHeaders = { accept: "*/*" };
      const signal = AbortSignal.timeout(timeoutMs);
      const probe = request({ ...shared, method: "GET", path: `${basePath}/healthz`, headers, signal });
      const { promise, resolve } = Promise.withResolvers<boolean>();
      probe.once("response", (response) => {
        response.resume();
        // The signal cuts a body that doesn't end; the answer is in the head.
        response.once("error", () => undefined);
        resolve(response.statusCode === 200);
      });
      probe.on("error", () => {
        resolve(false);
      });
      probe.once("close", () => {
        resolve(false);
      });
      probe.end();
      return promise;
    },

    close() {
      agent.destroy();
    },
  };
}

function startCall(request: http.ClientRequest): UpstreamCall {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamResponse>();
  let body: IncomingMessage | undefined;
  request.once("response", (response) => {
    body = response;
    // An error may come before whoever awaits the response listens for it. They find it in the body's state then.
    response.on("error", () => undefined);
    resolve({ httpStatus: response.statusCode ?? 0, headers: response.headers, body: response });
  });
  request.on("error", reject);
  // An answer that would switch protocols ends the request without any error.
  request.once("close", () => {
    reject(new Error("the connection was closed without an answer"));
  });
  // Headers travel with the first bytes of the body where those are at hand, and don't wait for them where not.
  setImmediate(() => {
    if (!request.headersSent && !request.destroyed) {
      request.flushHeaders();
    }
  });
  return {
    requestBody: request,
    response: promise,
    abort(reason) {
      body?.destroy(reason);
      request.destroy(reason);
    },
  };
}
