import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type PreparedAction, prepareAction } from "./action.ts";
import { type Clients, clientsOver, toTheEnd, upload } from "./clients.ts";
import { Collector } from "./collector.ts";
import { createNativeTransport } from "./native-transport.ts";
import { RemexProcess } from "./remex-process.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

it("an execution is one trace through bridge, Worker, object and agent, below the client's own span", async () => {
  const collector = new Collector();
  const remex = await startRemex({
    OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(),
    OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20secret",
  });
  const transport = createNativeTransport(remex.bridge);
  const clients = clientsOver(transport);
  const action = prepareAction({ script: "echo built > out", outputPaths: ["out"] });

  const [traceId, clientSpan] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
  await executeWithin(`00-${traceId}-${clientSpan}-01`, clients, action);
  const ofTrace = () => collector.spans.filter((span) => span.traceId === traceId);
  await expect.poll(() => ofTrace().map(({ scope }) => scope), { timeout: 20_000 }).toContain("remex.instance");
  await expect.poll(() => ofTrace().map(({ scope }) => scope), { timeout: 20_000 }).toContain("remex.worker");
  transport.close();
  // The bridge and the agent send what they have left.
  await remex.process.stop();

  const spans = new Map(ofTrace().map((span) => [`${span.scope} ${span.name}`, span]));
  const EXECUTE = "build.bazel.remote.execution.v2.Execution/Execute";
  const parents = [...spans].map(([name, { parentSpanId }]) => {
    const parent = [...spans].find(([, { spanId }]) => spanId === parentSpanId)?.[0];
    return [name, parent ?? parentSpanId];
  });
  expect(Object.fromEntries(parents)).toEqual({
    [`remex-bridge ${EXECUTE}`]: clientSpan,
    [`remex.worker ${EXECUTE}`]: `remex-bridge ${EXECUTE}`,
    "remex.instance queue": `remex.worker ${EXECUTE}`,
    "remex-agent lease": `remex.worker ${EXECUTE}`,
    "remex-agent fetch inputs": "remex-agent lease",
    "remex-agent run": "remex-agent lease",
    "remex-agent upload outputs": "remex-agent lease",
  });
  const lease = spans.get("remex-agent lease");
  expect(lease?.attributes).toMatchObject({
    "remex.action_digest": `${action.digest.hash}/${action.digest.sizeBytes}`,
    "remex.outcome": "COMPLETED",
  });
  for (const { startTimeUnixNano, endTimeUnixNano } of spans.values()) {
    expect(endTimeUnixNano).toBeGreaterThanOrEqual(startTimeUnixNano);
  }
  expect(new Set(collector.headers.map((headers) => headers["x-key"]))).toEqual(new Set(["a secret"]));
});

it("what its client doesn't want kept is not traced", async () => {
  const collector = new Collector();
  const remex = await startRemex({ OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start() });
  const transport = createNativeTransport(remex.bridge);
  const clients = clientsOver(transport);
  const action = prepareAction({ script: "true" });
  const traceId = "0af7651916cd43dd8448eb211c80319d";

  await executeWithin(`00-${traceId}-b7ad6b7169203331-00`, clients, action);
  transport.close();
  await remex.process.stop();

  // The uploads began traces of their own, which are kept.
  expect(collector.spans.length).toBeGreaterThan(0);
  expect(collector.spans.filter((span) => span.traceId === traceId)).toEqual([]);
});

async function executeWithin(traceparent: string, clients: Clients, action: PreparedAction): Promise<void> {
  await upload(clients, action.blobs);
  const request = { instanceName: "main", actionDigest: action.digest };
  await toTheEnd(clients.execution.execute(request, { headers: new Headers({ traceparent }) }));
}

async function startRemex(environment: NodeJS.ProcessEnv) {
  const data = join(await temporaryDirectory(), "data");
  const process = new RemexProcess(["start", "--data", data, "--worker-port", "0", "--bridge-port", "0"], environment);
  onTestFinished(() => process.kill());
  const bridge = await process.printed(/^Bridge +ready at grpc:\/\/([^,\s]+)/m);
  await process.printed(/^Agent +ready/m);
  return { process, bridge };
}
