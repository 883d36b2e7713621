import { createRegistry } from "@bufbuild/protobuf";
import { createConnectRouter } from "@connectrpc/connect";
import { createMethodUrl, type UniversalHandler } from "@connectrpc/connect/protocol";
import { Hono } from "hono";
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  Execution,
  file_build_bazel_remote_execution_v2_remote_execution,
} from "../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../protos/gen/google/bytestream/bytestream_pb.ts";
import { Operations } from "../protos/gen/google/longrunning/operations_pb.ts";
import { file_google_rpc_error_details } from "../protos/gen/google/rpc/error_details_pb.ts";
import { authenticating } from "./access/authorized-instance.ts";
import { agentSocketRoute } from "./agent-socket.ts";
import { checkBucket } from "./blob-store/check-bucket.ts";
import { servedConfig } from "./config/served-config.ts";
import { mendEndingError } from "./connect/ending-error.ts";
import { reportErrors } from "./connect/report-errors.ts";
import { serveFetch } from "./connect/serve-fetch.ts";
import { unimplementedResponse } from "./connect/unimplemented.ts";
import { dashboardRoutes } from "./dashboard/routes.ts";
import type { Env } from "./env.ts";
import { traceCalls } from "./tracing/trace-calls.ts";
import { refusalResponse } from "./errors/refusal-response.ts";
import { reportedError } from "./errors/unexpected.ts";
import { httpCacheRoutes } from "./http-cache/routes.ts";
import { checkInstance } from "./instance-object/instance-objects.ts";
import { MAX_REQUEST_MESSAGE_BYTES } from "./limits.ts";
import { metricsRoutes } from "./metrics/routes.ts";
import { ReceivedBytes } from "./received-bytes.ts";
import { actionCacheService } from "./services/action-cache.ts";
import { byteStreamService, serveRead } from "./services/byte-stream.ts";
import { capabilitiesService } from "./services/capabilities.ts";
import { contentAddressableStorageService } from "./services/content-addressable-storage.ts";
import { executionService } from "./services/execution.ts";
import { digestsAside } from "./services/find-missing-on-wire.ts";
import { operationsService } from "./services/operations.ts";
import { storeRoutes } from "./stores/routes.ts";

/** Everything that the Worker answers. */
export const app = new Hono<{ Bindings: Env }>();

app.get("/healthz", (c) => {
  servedConfig(c.env);
  return c.text("ok\n");
});

app.get("/readyz", async (c) => {
  const instances = [...servedConfig(c.env).instances.keys()];
  await Promise.all([checkBucket(c.env.CAS), ...instances.map((name) => checkInstance(c.env, name))]);
  return c.text("ready\n");
});

app.get("/v1/instances/:instance/agent", agentSocketRoute);

app.route("/", metricsRoutes);

app.route("/", storeRoutes);

app.post("/google.bytestream.ByteStream/Read", (c, next) => serveRead(c.env, c.req.raw) ?? next());

app.post("/:service{[a-zA-Z0-9_.]+}/:method{[a-zA-Z]+}", async (c, next) => {
  const handler = rpcHandlers(c.env).get(c.req.path);
  if (handler === undefined) return next();
  const aside = handler.requestPath === FIND_MISSING_BLOBS ? digestsAside : undefined;
  return serveFetch(handler, c.req.raw, new ReceivedBytes(c.env, handler), aside);
});

app.route("/", dashboardRoutes);

app.route("/", httpCacheRoutes);

app.notFound((c) => unimplementedResponse(c.req.raw) ?? c.text(`there is nothing at ${c.req.path}\n`, 404));

app.onError((error) => refusalResponse(reportedError(error)));

/** The messages that operations and statuses hold as Any, whose JSON form can't be made without their types. */
const ANY_TYPES = createRegistry(file_build_bazel_remote_execution_v2_remote_execution, file_google_rpc_error_details);

const FIND_MISSING_BLOBS = createMethodUrl("/", ContentAddressableStorage.method.findMissingBlobs);

const handlersByEnv = new WeakMap<Env, Map<string, UniversalHandler>>();

/** The methods of all services by their path, `/{package.Service}/{Method}`. */
function rpcHandlers(env: Env): Map<string, UniversalHandler> {
  const known = handlersByEnv.get(env);
  if (known !== undefined) return known;
  const authenticate = authenticating(env);
  const router = createConnectRouter({
    grpc: false,
    jsonOptions: { registry: ANY_TYPES },
    readMaxBytes: MAX_REQUEST_MESSAGE_BYTES,
    requestGate: async (context) => {
      mendEndingError(context);
      await authenticate(context);
    },
    interceptors: [traceCalls(env), reportErrors],
  })
    .service(Capabilities, capabilitiesService(env))
    .service(ContentAddressableStorage, contentAddressableStorageService(env))
    .service(ByteStream, byteStreamService(env))
    .service(ActionCache, actionCacheService(env))
    .service(Execution, executionService(env))
    .service(Operations, operationsService(env));
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  handlersByEnv.set(env, handlers);
  return handlers;
}
