import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../protos/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../protos/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../protos/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { prepareAction } from "./action.ts";
import { clientsOver, upload } from "./clients.ts";
import { createNativeTransport, type NativeTransport } from "./native-transport.ts";
import { Service } from "./service.ts";
import { GRPCURL, lacking } from "./tools.ts";

const REAPI_SERVICES = [
  "build.bazel.remote.execution.v2.ActionCache",
  "build.bazel.remote.execution.v2.Capabilities",
  "build.bazel.remote.execution.v2.ContentAddressableStorage",
  "build.bazel.remote.execution.v2.Execution",
  "google.bytestream.ByteStream",
  "google.longrunning.Operations",
];

let service: Service;
let transport: NativeTransport;

beforeAll(async () => {
  service = await Service.start();
  transport = createNativeTransport(service.bridgeAddress);
});

afterAll(async () => {
  transport.close();
  await service.stop();
});

describe("health", () => {
  it("is SERVING while the Worker answers", async () => {
    const { status } = await createClient(Health, transport).check({});

    expect(status).toBe(HealthCheckResponse_ServingStatus.SERVING);
  });
});

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
])("server reflection %s", (_version, reflection) => {
  it("lists the services", async () => {
    const request = { host: "", messageRequest: { case: "listServices", value: "" } } as const;
    const names: string[] = [];
    for await (const { messageResponse } of createClient(reflection, transport).serverReflectionInfo(once(request))) {
      if (messageResponse.case === "listServicesResponse") {
        names.push(...messageResponse.value.service.map(({ name }) => name));
      }
    }

    expect(names).toEqual(expect.arrayContaining(REAPI_SERVICES));
  });
});

const LACKING = lacking(GRPCURL);

describe.skipIf(LACKING !== "")(`grpcurl with no proto files at hand${LACKING}`, () => {
  it("lists the services", async () => {
    const { stdout } = await grpcurl("list");

    expect(stdout.split("\n")).toEqual(expect.arrayContaining(REAPI_SERVICES));
  });

  it("executes an action", async () => {
    const action = prepareAction({ script: "echo built > out", outputPaths: ["out"] });
    await upload(clientsOver(transport), action.blobs);
    const { hash, sizeBytes } = action.digest;

    const { stdout } = await grpcurl(
      "build.bazel.remote.execution.v2.Execution/Execute",
      `{"instance_name":"main","action_digest":{"hash":"${hash}","size_bytes":${sizeBytes}},"skip_cache_lookup":false}`,
    );

    expect(stdout).toMatch(/"name": "main\/operations\/[^"]+"/);
    expect(stdout).toContain('"done": true');
    expect(stdout).toContain('"@type": "type.googleapis.com/build.bazel.remote.execution.v2.ExecuteResponse"');
    expect(stdout).toContain('"path": "out"');
  });
});

async function grpcurl(what: string, request?: string): Promise<{ stdout: string }> {
  const port = service.bridgeAddress.slice(service.bridgeAddress.lastIndexOf(":") + 1);
  const data = request === undefined ? [] : ["-d", request];
  return promisify(execFile)(GRPCURL.path, ["-plaintext", ...data, `localhost:${port}`, what]);
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield await Promise.resolve(value);
}
