import { readFileSync } from "node:fs";
import http2, { type ClientHttp2Session } from "node:http2";
import { describe, expect, onTestFinished, test } from "vitest";
import { encodeFrame } from "../../bridge/frames.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint } from "../bridge/endpoints.ts";
import { endingOf, open } from "../bridge/raw-client.ts";
import { RemexProcess } from "./remex-process.ts";

const STREAMS = 1000;
const MIB = 1024 * 1024;

/** What is sent on each stream: all together more than the bridge may hold. */
const MESSAGE = encodeFrame(new Uint8Array(MIB - 5));

/** Two of a stream's windows for each, and some for what else a call needs. */
const MOST_GROWTH_BYTES = STREAMS * 640 * 1024;

const CARRIED_AS_IT_COMES = "/a.B/C";

/** The most memory that a process has had. */
function peakBytes({ pid }: RemexProcess): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

async function startBridge(endpoint: URL): Promise<{ bridge: RemexProcess; connect: () => ClientHttp2Session }> {
  const bridge = new RemexProcess(["bridge", "--endpoint", endpoint.href, "--listen", "0"]);
  onTestFinished(() => bridge.kill());
  const address = await bridge.printed(/^Bridge +ready at grpc:\/\/([^,\s]+)/m);
  const connect = (): ClientHttp2Session => {
    // In MB, and counted against what waits to be sent.
    const session = http2.connect(`http://${address}`, { maxSessionMemory: 4096 });
    onTestFinished(() => {
      session.destroy();
    });
    return session;
  };
  return { bridge, connect };
}

describe.skipIf(process.platform !== "linux")("the bridge's memory is bounded with a thousand streams", () => {
  test("whose client doesn't read", async () => {
    let answers = 0;
    const everyAnswer = Promise.withResolvers<undefined>();
    const endpoint = await startRawEndpoint((request, response) => {
      request.resume();
      response.writeHead(200, GRPC_WEB);
      if (request.url !== CARRIED_AS_IT_COMES) {
        response.end(OK_TRAILERS);
        return;
      }
      response.write(MESSAGE);
      response.end(OK_TRAILERS, () => {
        if (++answers === STREAMS) everyAnswer.resolve(undefined);
      });
    });
    const { bridge, connect } = await startBridge(endpoint);
    const [session, another] = [connect(), connect()];
    const before = peakBytes(bridge);
    const streams = Array.from({ length: STREAMS }, () => open(session, { ":path": CARRIED_AS_IT_COMES }).end());
    // What the bridge doesn't take stays in the sockets' buffers. Other calls show that it has had time to take it.
    await everyAnswer.promise;
    for (let call = 0; call < 100; call++) {
      const { trailers } = await endingOf(open(another, { ":path": "/a.B/D" }).end());
      expect(trailers["grpc-status"]).toBe("0");
    }
    expect(peakBytes(bridge) - before).toBeLessThan(MOST_GROWTH_BYTES);
    for (const stream of streams.slice(0, 10)) {
      const { body, trailers } = await endingOf(stream);
      expect(body).toHaveLength(MESSAGE.length);
      expect(trailers["grpc-status"]).toBe("0");
    }
  });

  test("whose endpoint reads one after the other, and all of them end well", async () => {
    // The sockets' buffers hold as much; that the bridge holds a client back is shown by test/bridge/backpressure.test.ts.
    const message = encodeFrame(new Uint8Array(MIB / 4 - 5));
    const requestsBefore: Promise<unknown>[] = [];
    const endpoint = await startRawEndpoint((request, response) => {
      const earlier = requestsBefore.at(-1) ?? Promise.resolve();
      const { promise, resolve } = Promise.withResolvers<undefined>();
      requestsBefore.push(promise);
      void earlier.then(() => {
        request.resume().once("end", () => {
          response.writeHead(200, GRPC_WEB).end(OK_TRAILERS);
          resolve(undefined);
        });
      });
    });
    const { bridge, connect } = await startBridge(endpoint);
    const session = connect();
    const before = peakBytes(bridge);
    const endings = await Promise.all(
      Array.from({ length: STREAMS }, () => endingOf(open(session, { ":path": CARRIED_AS_IT_COMES }).end(message))),
    );
    for (const { trailers } of endings) expect(trailers["grpc-status"]).toBe("0");
    expect(peakBytes(bridge) - before).toBeLessThan(MOST_GROWTH_BYTES);
  });
});
