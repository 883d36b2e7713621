import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { startRawEndpoint } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const EXECUTION = "build.bazel.remote.execution.v2.Execution";

/** An endpoint whose health is what `health.status` says, an HTTP status, and a bridge to it. */
async function withHealth(health: { status: number }) {
  const endpoint = await startRawEndpoint((request, response) => {
    response.writeHead(request.url === "/healthz" ? health.status : 404).end("body");
  });
  return startTestBridge(endpoint, { healthProbeMs: 5 });
}

test("bridge and services are SERVING as the endpoint's /healthz says at the time", async () => {
  const health = { status: 200 };
  const client = new NativeClient((await withHealth(health)).port);
  for (const [status, expected] of [
    [200, Status.SERVING],
    [503, Status.NOT_SERVING],
    [200, Status.SERVING],
  ] as const) {
    health.status = status;
    for (const service of ["", EXECUTION]) {
      const { messages } = await client.unary(Health.method.check, { service });
      expect(messages[0]?.status).toBe(expected);
    }
  }
});

test("an endpoint that can't be reached is NOT_SERVING; the bridge's own services are SERVING", async () => {
  const client = new NativeClient((await startTestBridge(new URL("http://127.0.0.1:1"))).port);
  const { messages } = await client.unary(Health.method.list, {});
  const statuses = messages[0]?.statuses ?? {};
  expect(statuses[""]?.status).toBe(Status.NOT_SERVING);
  expect(statuses[EXECUTION]?.status).toBe(Status.NOT_SERVING);
  expect(statuses["grpc.health.v1.Health"]?.status).toBe(Status.SERVING);
});

test("an unknown service is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch", async () => {
  const client = new NativeClient((await withHealth({ status: 200 })).port);
  const { status } = await client.unary(Health.method.check, { service: "no.Service" });
  expect(status.code).toBe(Code.NotFound);
  const watch: AsyncIterable<{ status: Status }> = client.serverStream(Health.method.watch, { service: "no.Service" });
  for await (const message of watch) {
    expect(message.status).toBe(Status.SERVICE_UNKNOWN);
    break;
  }
});

test("Watch tells each change, and ends when the bridge does", async () => {
  const health = { status: 200 };
  const bridge = await withHealth(health);
  const client = createClient(Health, createGrpcTransport({ baseUrl: `http://127.0.0.1:${bridge.port}` }));
  const seen: Status[] = [];
  const watching = (async () => {
    for await (const { status } of client.watch({})) {
      seen.push(status);
      if (seen.length === 1) {
        health.status = 500;
      } else if (seen.length === 2) {
        health.status = 200;
      } else {
        void bridge.close();
      }
    }
  })();
  await watching.catch(() => undefined);
  expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING]);
});
