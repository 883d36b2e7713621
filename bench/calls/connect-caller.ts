import http, { type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, pipe, transformSplitEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { Pace } from "../load/pace.ts";
import { type Caller, type CallHeaders, methodPath } from "./caller.ts";

const MAX_ANSWER_BYTES = 0xffffffff;

/**
 * The Connect protocol over HTTP/1.1, straight to the Worker: what a call costs without the bridge.
 * @param pace of the bytes of all streams, in both directions
 */
export function createConnectCaller(endpoint: URL, deadlineMs: number, pace = new Pace(Infinity)): Caller {
  const agent = new http.Agent({ keepAlive: true });

  function start(method: DescMethod, contentType: string, headers: CallHeaders): http.ClientRequest {
    return http.request({
      agent,
      method: "POST",
      host: endpoint.hostname,
      port: endpoint.port,
      path: methodPath(method),
      headers: { ...toHttpHeaders(headers), "content-type": contentType, "connect-protocol-version": "1" },
      signal: AbortSignal.timeout(deadlineMs),
    });
  }

  return {
    async unary(method, request, headers = {}) {
      const call = start(method, "application/proto", headers);
      call.end(request);
      return withConnectErrors(async () => {
        const response = await responseOf(call);
        const body = await buffer(response);
        if (response.statusCode === 200) return body;
        throw errorFromJsonBytes(body, undefined, httpError(response));
      });
    },

    async *serverStream(method, request, headers = {}) {
      const call = start(method, "application/connect+proto", headers);
      call.end(encodeEnvelope(0, request));
      try {
        yield* paced(messages(await responseOf(call)), pace);
      } catch (error) {
        throw ConnectError.from(error);
      } finally {
        call.destroy();
      }
    },

    async clientStream(method, requests, headers = {}) {
      const call = start(method, "application/connect+proto", headers);
      return withConnectErrors(async () => {
        const response = responseOf(call);
        response.catch(() => undefined);
        for (const request of requests) {
          const turn = pace.next(request.length);
          if (turn !== undefined) await Promise.race([turn, response]);
          if (call.destroyed) break;
          if (!call.write(encodeEnvelope(0, request))) await Promise.race([once(call, "drain"), response]);
        }
        call.end();
        let answer: Uint8Array | undefined;
        for await (const message of messages(await response)) answer = message;
        if (answer === undefined) throw new ConnectError(`${method.name} has no answer`, Code.Internal);
        return answer;
      });
    },

    close() {
      agent.destroy();
    },
  };
}

async function responseOf(call: http.ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  call.once("response", resolve);
  call.on("error", reject);
  return promise;
}

/** The messages of a streamed answer; the error that its last envelope holds is thrown. */
async function* messages(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  if (response.statusCode !== 200) throw httpError(response);
  for await (const { flags, data } of pipe(response, transformSplitEnvelope(MAX_ANSWER_BYTES))) {
    if ((flags & endStreamFlag) === 0) {
      yield data;
      continue;
    }
    const { error } = endStreamFromJson(data);
    if (error !== undefined) throw error;
  }
}

async function* paced(messages: AsyncIterable<Uint8Array>, pace: Pace): AsyncGenerator<Uint8Array> {
  for await (const message of messages) {
    const turn = pace.next(message.length);
    if (turn !== undefined) await turn;
    yield message;
  }
}

async function withConnectErrors<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw ConnectError.from(error);
  }
}

function httpError({ statusCode }: IncomingMessage): ConnectError {
  return new ConnectError(`the Worker answered HTTP ${statusCode ?? 0}`, Code.Unknown);
}

function toHttpHeaders(headers: CallHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === "string" ? value : Buffer.from(value).toString("base64"),
    ]),
  );
}
