import { createRegistry } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe } from "vitest";
import { file_build_bazel_remote_execution_v2_remote_execution } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { file_google_rpc_error_details } from "../../protos/gen/google/rpc/error_details_pb.ts";
import { CONNECTION_PER_CALL } from "../connection-per-call.ts";
import { type Clients, clientsOver } from "./clients.ts";
import { createNativeTransport } from "./native-transport.ts";
import { Service } from "./service.ts";

interface Protocol {
  readonly name: string;
  readonly connect: (service: Service) => Transport & { close?: () => void };
}

const connectOverHttp1 = ({ workerUrl }: Service, useBinaryFormat: boolean) =>
  createConnectTransport({
    baseUrl: workerUrl,
    ...CONNECTION_PER_CALL,
    useBinaryFormat,
    // For what operations hold as Any.
    jsonOptions: {
      registry: createRegistry(file_build_bazel_remote_execution_v2_remote_execution, file_google_rpc_error_details),
    },
  });

const PROTOCOLS: readonly Protocol[] = [
  { name: "native gRPC through the bridge", connect: ({ bridgeAddress }) => createNativeTransport(bridgeAddress) },
  { name: "Connect", connect: (service) => connectOverHttp1(service, true) },
  { name: "Connect with JSON", connect: (service) => connectOverHttp1(service, false) },
];

/**
 * Runs the same tests over every way into one service.
 * @param tests defines them; `protocol` tells the ways apart, and `clients` can be called once a test runs
 * @param scheduler keys of the service's scheduler
 */
export function forEachProtocol(
  tests: (protocol: string, clients: () => Clients) => void,
  scheduler: Readonly<Record<string, unknown>> = {},
): void {
  let service: Service;

  beforeAll(async () => {
    service = await Service.start({ scheduler });
    return () => service.stop();
  });

  describe.each(PROTOCOLS)("over $name", ({ name, connect }) => {
    let transport: ReturnType<Protocol["connect"]>;
    let clients: Clients;

    beforeAll(() => {
      transport = connect(service);
      clients = clientsOver(transport);
    });

    afterAll(() => {
      transport.close?.();
    });

    tests(name, () => clients);
  });
}
