import {
  constants,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { createConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import type { Logger } from "pino";
import { Health } from "../protos/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { mendEndingError } from "../src/connect/ending-error.ts";
import { MAX_TIMER_MS, parseGrpcTimeout } from "./grpc-timeout.ts";
import { createHealthService } from "./health.ts";
import type { BridgeLimits } from "./limits.ts";
import { reflection, reflectionV1Alpha } from "./reflection.ts";
import type { Upstream } from "./upstream.ts";

/** No request of reflection or health is near this. */
const MAX_REQUEST_BYTES = 64 * 1024;

/** Answers a call to a method that it has, and returns false to any other. */
export type LocalServices = (path: string, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

/**
 * The services that the bridge answers itself: reflection and health.
 * @param closing ends the calls that go on until they are ended
 */
export function createLocalServices(
  upstream: Upstream,
  limits: Pick<BridgeLimits, "healthProbeMs">,
  logger: Logger,
  closing: AbortSignal,
): LocalServices {
  const router = createConnectRouter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: MAX_REQUEST_BYTES,
    shutdownSignal: closing,
    requestGate: mendEndingError,
  });
  router.service(Health, createHealthService(upstream, limits.healthProbeMs));
  router.service(ServerReflection, reflection);
  router.service(ServerReflectionV1Alpha, reflectionV1Alpha);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  return (path, stream, headers) => {
    const handler = handlers.get(path);
    if (handler === undefined) {
      return false;
    }
    answer(handler, stream, headers).catch((error: unknown) => {
      // The client went away, or its request is none; what a service throws is a status, and was sent.
      logger.debug({ err: error, path }, "a call to the bridge's own service was cut");
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    });
    return true;
  };
}

async function answer(
  handler: UniversalHandler,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  const request = new Http2ServerRequest(stream, withinTimers(headers), {}, []);
  const response = new Http2ServerResponse(stream);
  await universalResponseToNodeResponse(
    await handler(universalRequestFromNodeRequest(request, response, undefined, undefined)),
    response,
  );
}

/** Connect would set a timer for any deadline, and one beyond a timer's reach has passed at once. */
function withinTimers(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const timeout = headers["grpc-timeout"];
  const timeoutMs = typeof timeout === "string" ? parseGrpcTimeout(timeout) : undefined;
  return timeoutMs === undefined || timeoutMs <= MAX_TIMER_MS ? headers : { ...headers, "grpc-timeout": undefined };
}
