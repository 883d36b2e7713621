import type { Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { Code } from "@connectrpc/connect";
import { CLIENT_IDENTITY_HEADER } from "../src/access/client-identity-header.ts";
import type { CallContext } from "./call.ts";
import { endSpanWith, startCallSpan, withSpan } from "./call-span.ts";
import { createCarriers } from "./carriers.ts";
import { ClientCall } from "./client-call.ts";
import { parseGrpcTimeout } from "./grpc-timeout.ts";
import type { ClientIdentities } from "./client-identity.ts";
import type { LocalServices } from "./local-services.ts";
import { isGrpc } from "./metadata.ts";
import { stopClient } from "./stop-client.ts";
import { codeOf } from "./trailers.ts";

/** `/{package.Service}/{Method}`, and nothing that could lead elsewhere on the endpoint. */
const METHOD_PATH = /^\/\w+(?:\.\w+)*\/\w+$/;

/** Codes that say that something is wrong with the service rather than with the call. */
const FAILURES: ReadonlySet<Code> = new Set([Code.DataLoss, Code.Internal, Code.Unavailable, Code.Unknown]);

/** Who a client is to the endpoint, unless it says so itself. */
export interface ClientAccess {
  /** The bearer token of calls whose client sends no authorization. */
  readonly token: (() => string) | undefined;
  /** Vouches for clients with certificates instead. */
  readonly identities: ClientIdentities | undefined;
}

export interface Dispatcher {
  /** Takes a stream that a client has opened. */
  readonly dispatch: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
  /** Ends every call that is carried, so that its client may make it again elsewhere. */
  readonly endCalls: () => void;
}

/** Decides, for each stream that a client opens, who answers it: a local service, the endpoint, or a refusal. */
export function createDispatcher(context: CallContext, localServices: LocalServices, access: ClientAccess): Dispatcher {
  const { limits, logger, tracer, upstream } = context;
  const carrierOf = createCarriers(context);
  const carried = new Set<ClientCall>();
  /** Counted by themselves: whether a bridge that is full of calls is well must still be told. */
  const answered = new Set<ClientCall>();

  async function carry(call: ClientCall): Promise<void> {
    const ready = upstream.ready();
    if (ready !== undefined) await ready;
    if (!call.isOver()) await carrierOf(call)(call);
  }

  /** Never rejects. */
  async function attend(call: ClientCall, carrier: (call: ClientCall) => Promise<void>): Promise<void> {
    try {
      await carrier(call);
    } catch (error) {
      logger.error({ err: error, path: call.path }, "a call failed in the bridge");
      call.fail(Code.Internal, "the bridge failed; its log says how");
    }
  }

  const dispatch: Dispatcher["dispatch"] = (stream, headers) => {
    stream.on("error", (error) => {
      logger.debug({ err: error }, "a client's stream failed");
    });
    if (headers[":method"] !== "POST" || !isGrpc(headers["content-type"])) {
      refuseOther(stream);
      return;
    }
    const path = headers[":path"] ?? "";
    const local = localServices(path);
    const timeout = headers["grpc-timeout"];
    const timeoutMs = typeof timeout === "string" ? parseGrpcTimeout(timeout) : undefined;
    // What the bridge answers itself needs no rights at the endpoint, and is no part of a build's trace.
    const span = local === undefined && tracer ? startCallSpan(tracer, path, headers) : undefined;
    const own = local === undefined ? authorized(headers, stream.session, access) : headers;
    const metadata = span === undefined ? own : withSpan(own, span);
    const calls = local === undefined ? carried : answered;
    const call = new ClientCall(stream, { path, metadata, timeoutMs });
    if (span !== undefined) endSpanWith(call, span);
    if (!METHOD_PATH.test(path)) {
      call.fail(Code.Unimplemented, "the path is not that of a gRPC method, /{package.Service}/{Method}");
    } else if (timeout !== undefined && timeoutMs === undefined) {
      call.fail(Code.InvalidArgument, "grpc-timeout is not up to eight digits and one of the units H M S m u n");
    } else if (calls.size >= limits.maxCalls) {
      call.fail(
        Code.ResourceExhausted,
        `the bridge has ${calls.size} calls, which is its limit (maxCalls); try again, or run another bridge`,
      );
    } else {
      calls.add(call);
      stream.once("close", () => calls.delete(call));
      logEnd(call, context);
      void attend(call, local ?? carry);
    }
  };

  return {
    dispatch,
    endCalls: () => {
      for (const call of [...carried, ...answered]) call.fail(Code.Unavailable, "the bridge is stopped; try again");
    },
  };
}

function authorized(
  received: IncomingHttpHeaders,
  session: Http2Session | undefined,
  { identities, token }: ClientAccess,
): IncomingHttpHeaders {
  // Only the bridge says who its client is.
  const claims = received[CLIENT_IDENTITY_HEADER] !== undefined;
  const headers = claims ? { ...received, [CLIENT_IDENTITY_HEADER]: undefined } : received;
  if (headers.authorization !== undefined) return headers;
  const identity = identities?.of(session);
  if (identity !== undefined) return { ...headers, [CLIENT_IDENTITY_HEADER]: identity };
  return token === undefined ? headers : { ...headers, authorization: `Bearer ${token()}` };
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
  stopClient(stream);
}
