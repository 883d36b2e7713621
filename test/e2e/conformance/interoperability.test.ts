import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { describe, test } from "vitest";
import { startTestBridge } from "../../bridge/bridges.ts";
import { startRawEndpoint } from "../../bridge/endpoints.ts";
import { INTEROP_CLIENT, lacking } from "../tools.ts";
import { serveTestService } from "./test-service.ts";

/** Every case of grpc-go's client that needs no credentials of a cloud, and no load balancer: see docs/conformance.md. */
const CASES = [
  "cancel_after_begin",
  "cancel_after_first_response",
  "channel_soak",
  "client_streaming",
  "custom_metadata",
  "empty_stream",
  "empty_unary",
  "large_unary",
  "pick_first_unary",
  "ping_pong",
  "rpc_soak",
  "server_streaming",
  "special_status_message",
  "status_code_and_message",
  "timeout_on_sleeping_server",
  "unimplemented_method",
  "unimplemented_service",
];

/** The soak cases repeat a large call; how long one may take is not what is tested here. */
const SOAK = ["-soak_per_iteration_max_acceptable_latency_ms=30000", "-soak_overall_timeout_seconds=60"];

const LACKING = lacking(INTEROP_CLIENT);

describe.skipIf(LACKING !== "")(`gRPC's interoperability cases pass through the bridge${LACKING}`, () => {
  test.each(CASES)("%s", async (name) => {
    const { port } = await startTestBridge(await startTestService());
    // It ends with another exit code, and says why, where the case fails.
    const args = ["-server_host=127.0.0.1", `-server_port=${port}`, `-test_case=${name}`, ...SOAK];
    await promisify(execFile)(INTEROP_CLIENT.path, args);
  });
});

function startTestService(): Promise<URL> {
  const serve = connectNodeAdapter({ routes: serveTestService });
  return startRawEndpoint((request, response) => {
    // Node reads and writes at once over HTTP/1.1, too; Connect refuses to by this version alone.
    request.httpVersion = "2.0";
    serve(request, response);
  });
}
