import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { pino } from "pino";
import { UPSTREAM_SERVICES } from "../../../bridge/served-services.ts";
import { startBridge } from "../../../bridge/server.ts";
import { mix, Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { codeName } from "../answer.ts";
import { envelope } from "../generators/envelopes.ts";
import { hostileBinary } from "../generators/hostile-messages.ts";
import { type HostileResponse, hostileResponse } from "../generators/hostile-responses.ts";
import { callNatively } from "../native-call.ts";
import { checkAnswer } from "../oracle.ts";
import type { Target } from "../target.ts";
import { Violation } from "../violation.ts";
import { INSTANCE } from "../world.ts";

const METHODS: readonly DescMethod[] = UPSTREAM_SERVICES.flatMap(({ methods }) => methods);

const CALLS_OF_A_CASE = 60;
const CALLS_AT_ONCE = 6;

/** What the bridge says of an endpoint that says nothing right, as gRPC maps it; or of the call, if it looked into that. */
const FAULTS = [
  ...["UNAVAILABLE", "INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED"],
  "INVALID_ARGUMENT",
];

/** Beyond what there was before: a bound on what answers leave in the bridge, while they come and after. */
const MAX_GROWTH_BYTES = 512 << 20;

/** Says which call a request is of. */
const CALL_HEADER = "x-fuzz-call";

/** An endpoint that answers the bridge with what is no answer. Each call ends all the same, and never well by mistake. */
export const bridgeEndpoint: Target = {
  name: "endpoint of the bridge",
  cases: 3,
  atOnce: 1,
  async run(random) {
    const seed = random.between(0, 2 ** 31);
    const responses: HostileResponse[] = [];
    const endpoint = await startEndpoint(responses);
    const bridge = await startBridge({
      listen: { host: "127.0.0.1", port: 0 },
      endpoint: endpoint.url,
      logger: pino({ level: "silent" }),
      limits: {
        shutdownGraceMs: 50,
        executionSilenceMs: 200,
        resumeWindowMs: 200,
        resumePauseMs: 1,
        uploadAttempts: 2,
        maxMessageBytes: 4 << 20,
      },
    });
    const session = http2.connect(`http://127.0.0.1:${bridge.port}`);
    session.on("error", () => undefined);
    const before = process.memoryUsage().rss;
    const what: string[] = [];
    const oneAfterAnother = async (): Promise<void> => {
      while (responses.length < CALLS_OF_A_CASE) {
        // Of its own, so that it does the same whatever the others do meanwhile.
        what.push(await hostileCall(new Random(mix(seed, responses.length)), session, responses));
      }
    };
    try {
      await Promise.all(Array.from({ length: CALLS_AT_ONCE }, oneAfterAnother));
      const honest = await callNatively(session, pathOf(METHODS[0]), {}, envelope(new Uint8Array(0)));
      if (honest.code !== "OK") throw new Violation(`an honest answer after them is ${honest.code}: ${honest.text}`);
      const grownBytes = process.memoryUsage().rss - before;
      if (grownBytes > MAX_GROWTH_BYTES) throw new Violation(`the bridge holds ${grownBytes} bytes more than before`);
    } finally {
      session.destroy();
      await bridge.close();
      endpoint.close();
    }
    return what.join("; ");
  },
};

async function hostileCall(
  random: Random,
  session: http2.ClientHttp2Session,
  responses: HostileResponse[],
): Promise<string> {
  const method = random.pick(METHODS);
  if (method === undefined) return "";
  const response = hostileResponse(random);
  const index = responses.push(response) - 1;
  const { hasStatus, isEndless, what } = response;
  const headers = { [CALL_HEADER]: String(index), ...(isEndless && { "grpc-timeout": "200m" }) };
  const body = envelope(hostileBinary(random, method.input, INSTANCE));
  const answer = await callNatively(session, pathOf(method), headers, body).catch((error: unknown) => {
    throw new Violation(`${what}, ${pathOf(method)}: ${String(error)}`);
  });
  const any = Array.from({ length: 17 }, (_, code) => codeName(code));
  const allowed = new Set(hasStatus ? [...any, answer.code] : FAULTS);
  if (isEndless) allowed.add("DEADLINE_EXCEEDED");
  checkAnswer(answer, allowed, `${what}, ${pathOf(method)}`);
  return what;
}

function pathOf(method: DescMethod | undefined): string {
  return method === undefined ? "/" : `/${method.parent.typeName}/${method.name}`;
}

interface Endpoint {
  readonly url: URL;
  close(): void;
}

/** Answers each call with its response, and those of nobody well. */
async function startEndpoint(responses: readonly HostileResponse[]): Promise<Endpoint> {
  const server = http.createServer((request, response) => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    request.resume();
    const call = responses[Number(request.headers[CALL_HEADER] ?? "none")];
    if (call !== undefined) {
      call.answer(response);
      return;
    }
    const trailers = envelope(new TextEncoder().encode("grpc-status: 0\r\n"), 0x80);
    response.writeHead(200, { "content-type": "application/grpc-web+proto" });
    response.end(Buffer.concat([envelope(new Uint8Array(0)), trailers]));
  });
  server.on("clientError", (_error, socket) => {
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the endpoint has no port");
  return {
    url: new URL(`http://127.0.0.1:${address.port}`),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
