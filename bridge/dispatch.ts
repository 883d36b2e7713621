import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { Code } from "@connectrpc/connect";
import type { CallContext } from "./call.ts";
import { createCarriers } from "./carriers.ts";
import { ClientCall } from "./client-call.ts";
import { parseGrpcTimeout } from "./grpc-timeout.ts";
import type { LocalServices } from "./local-services.ts";
import { isGrpc } from "./metadata.ts";
import { codeOf } from "./trailers.ts";

/** `/{package.Service}/{Method}`, and nothing that could lead elsewhere on the endpoint. */
const METHOD_PATH = /^\/\w+(?:\.\w+)*\/\w+$/;

/** Codes that say that something is wrong with the service rather than with the call. */
const FAILURES: ReadonlySet<Code> = new Set([Code.DataLoss, Code.Internal, Code.Unavailable, Code.Unknown]);

/**
 * Decides, for each stream that a client opens, who answers it: a local service, the endpoint, or a refusal.
 * @param token the bearer token of calls whose client sends no authorization
 */
export function createDispatcher(
  context: CallContext,
  answerLocally: LocalServices,
  token?: () => string,
): (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void {
  const { limits, logger, upstream } = context;
  const carrierOf = createCarriers(context);
  let calls = 0;

  /** Never rejects. */
  async function carry(call: ClientCall): Promise<void> {
    try {
      const ready = upstream.ready();
      if (ready !== undefined) await ready;
      if (!call.isOver()) await carrierOf(call)(call);
    } catch (error) {
      logger.error({ err: error, path: call.path }, "a call failed in the bridge");
      call.fail(Code.Internal, "the bridge failed; its log says how");
    }
  }

  return (stream, headers) => {
    stream.on("error", (error) => {
      logger.debug({ err: error }, "a client's stream failed");
    });
    if (headers[":method"] !== "POST" || !isGrpc(headers["content-type"])) {
      refuseOther(stream);
      return;
    }
    const path = headers[":path"] ?? "";
    if (answerLocally(path, stream, headers)) {
      return;
    }
    const timeout = headers["grpc-timeout"];
    const timeoutMs = typeof timeout === "string" ? parseGrpcTimeout(timeout) : undefined;
    const metadata = authorized(headers, token);
    const call = new ClientCall(stream, { path, metadata, timeoutMs });
    if (!METHOD_PATH.test(path)) {
      call.fail(Code.Unimplemented, "the path is not that of a gRPC method, /{package.Service}/{Method}");
    } else if (timeout !== undefined && timeoutMs === undefined) {
      call.fail(Code.InvalidArgument, "grpc-timeout is not up to eight digits and one of the units H M S m u n");
    } else if (calls >= limits.maxCalls) {
      call.fail(
        Code.ResourceExhausted,
        `the bridge carries ${calls} calls, which is its limit (maxCalls); try again, or run another bridge`,
      );
    } else {
      calls++;
      stream.once("close", () => {
        calls--;
      });
      logEnd(call, context);
      void carry(call);
    }
  };
}

function authorized(headers: IncomingHttpHeaders, token: (() => string) | undefined): IncomingHttpHeaders {
  if (token === undefined || headers.authorization !== undefined) return headers;
  return { ...headers, authorization: `Bearer ${token()}` };
}

function logEnd(call: ClientCall, { logger }: CallContext): void {
  const startMs = performance.now();
  call.onceOver(() => {
    const ms = Math.round(performance.now() - startMs);
    if (call.trailers === undefined) {
      logger.debug({ path: call.path, ms }, "a call was given up by its client");
      return;
    }
    const code = codeOf(call.trailers);
    const level = code !== undefined && FAILURES.has(code) ? "warn" : "debug";
    const status = code === undefined ? "OK" : Code[code];
    logger[level]({ path: call.path, status, message: call.trailers["grpc-message"], ms }, "a call is over");
  });
}

/** By the gRPC protocol, what is no gRPC gets HTTP status 415. */
function refuseOther(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 415, "content-type": "text/plain; charset=utf-8" });
  stream.end(
    "This is the gRPC port of a Remex bridge: it takes POST requests of content-type application/grpc over HTTP/2, " +
      "as gRPC clients send them.\n",
  );
  stream.resume();
}
