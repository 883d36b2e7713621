import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectRouter, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { codeOf } from "../../../bridge/trailers.ts";
import {
  type EchoStatus,
  type ResponseParameters,
  type StreamingOutputCallRequest,
  TestService,
} from "../../../protos/gen/grpc/testing/test_pb.ts";

/** What a client sends to have it back in the headers, and in the trailers. */
const ECHO_INITIAL = "x-grpc-test-echo-initial";
const ECHO_TRAILING = "x-grpc-test-echo-trailing-bin";

/** Serves grpc.testing.TestService, as gRPC's description of its interoperability cases asks of a server. */
export function serveTestService(router: ConnectRouter): void {
  router.rpc(TestService.method.emptyCall, () => ({}));
  router.rpc(TestService.method.unaryCall, ({ responseSize, responseStatus, fillServerId }, context) => {
    echoMetadata(context);
    throwStatus(responseStatus);
    return { payload: payloadOf(responseSize), serverId: fillServerId ? "the only one" : "" };
  });
  router.rpc(TestService.method.streamingOutputCall, async function* ({ responseParameters }) {
    yield* responsesTo(responseParameters);
  });
  router.rpc(TestService.method.streamingInputCall, async (requests) => {
    let aggregatedPayloadSize = 0;
    for await (const { payload } of requests) aggregatedPayloadSize += payload?.body.length ?? 0;
    return { aggregatedPayloadSize };
  });
  router.rpc(TestService.method.fullDuplexCall, async function* (requests, context) {
    echoMetadata(context);
    for await (const { responseParameters, responseStatus } of requests) {
      throwStatus(responseStatus);
      yield* responsesTo(responseParameters);
    }
  });
  router.rpc(TestService.method.halfDuplexCall, async function* (requests) {
    const all: StreamingOutputCallRequest[] = [];
    for await (const request of requests) all.push(request);
    for (const { responseParameters } of all) yield* responsesTo(responseParameters);
  });
}

async function* responsesTo(parameters: readonly ResponseParameters[]) {
  for (const { size, intervalUs } of parameters) {
    if (intervalUs > 0) await sleep(intervalUs / 1000);
    yield { payload: payloadOf(size) };
  }
}

function payloadOf(bytes: number) {
  return { body: new Uint8Array(bytes) };
}

function echoMetadata({ requestHeader, responseHeader, responseTrailer }: HandlerContext): void {
  const initial = requestHeader.get(ECHO_INITIAL);
  const trailing = requestHeader.get(ECHO_TRAILING);
  if (initial !== null) responseHeader.set(ECHO_INITIAL, initial);
  if (trailing !== null) responseTrailer.set(ECHO_TRAILING, trailing);
}

function throwStatus(status: EchoStatus | undefined): void {
  const code = status === undefined ? undefined : codeOf({ "grpc-status": String(status.code) });
  if (code !== undefined) throw new ConnectError(status?.message ?? "", code);
}
