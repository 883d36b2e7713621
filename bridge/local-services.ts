import type { IncomingHttpHeaders } from "node:http";
import { Code, createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { Health } from "../protos/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { mendEndingError } from "../src/connect/ending-error.ts";
import type { ClientCall } from "./client-call.ts";
import { createHealthService } from "./health.ts";
import { HeldRequest } from "./held-request.ts";
import type { BridgeLimits } from "./limits.ts";
import { reflection, reflectionV1Alpha } from "./reflection.ts";
import type { Upstream } from "./upstream.ts";

/** No request of reflection or health is near this. */
const MAX_REQUEST_BYTES = 64 * 1024;

/** What Connect must know of a call; its deadline, for one, is kept by the call itself. */
const HEADERS_READ = ["content-type", "grpc-encoding", "grpc-accept-encoding"];

/** Answers a call to its end. */
type Answerer = (call: ClientCall) => Promise<void>;

/** The answerer of the calls of a path; undefined where the method is none of the bridge's own. */
export type LocalServices = (path: string) => Answerer | undefined;

/**
 * The services that the bridge answers itself: reflection and health.
 * @param closing ends the calls that go on until they are ended
 */
export function createLocalServices(
  upstream: Upstream,
  limits: Pick<BridgeLimits, "healthProbeMs" | "localRequestMs">,
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
  const answerers = new Map(
    router.handlers.map((handler): [string, Answerer] => [
      handler.requestPath,
      (call) => answer(call, handler, limits.localRequestMs),
    ]),
  );
  return (path) => answerers.get(path);
}

async function answer(call: ClientCall, handler: UniversalHandler, requestMs: number): Promise<void> {
  const response = await handler({
    httpVersion: "2.0",
    method: "POST",
    url: new URL(call.path, "http://bridge").href,
    header: headersRead(call.metadata),
    body: requestChunks(call, requestMs),
    signal: call.signal,
  });
  await pass(response, call);
}

function headersRead(metadata: IncomingHttpHeaders): Headers {
  const read = new Headers();
  for (const name of HEADERS_READ) {
    const value = metadata[name];
    if (typeof value === "string") read.set(name, value);
  }
  return read;
}

/** Ends the call if its request hasn't ended after `requestMs`: a client that neither sends nor goes would hold it for ever. */
async function* requestChunks(call: ClientCall, requestMs: number): AsyncGenerator<Uint8Array> {
  const request = new HeldRequest(call, MAX_REQUEST_BYTES);
  request.release();
  const timer = setTimeout(() => {
    call.fail(Code.Unavailable, `the request had not ended after ${requestMs / 1000} s; send it again`);
  }, requestMs);
  call.onceOver(() => {
    clearTimeout(timer);
  });
  for (let chunk = await request.next(); chunk !== undefined; chunk = await request.next()) yield chunk;
  clearTimeout(timer);
}

async function pass({ body, header, status, trailer }: UniversalServerResponse, call: ClientCall): Promise<void> {
  if (status !== 200 || trailer === undefined) {
    const format = call.metadata["content-type"] ?? "";
    call.fail(Code.Unimplemented, `messages of ${format} are not read here; send application/grpc`);
    return;
  }
  for await (const chunk of body ?? []) {
    if (call.isOver()) return;
    call.begin(Object.fromEntries(header ?? []));
    call.write(chunk);
    await call.drained();
  }
  call.finish(Object.fromEntries(trailer));
}
