import { Command, Option } from "commander";
import type { Level } from "pino";
import { clientAddress, explainListenFault } from "./listening.ts";
import { createLogger, logLevelOption } from "./logger.ts";
import { endpointOption, type ListenAddress, parseListenAddress } from "./options.ts";
import { aborted, terminationSignal } from "./termination.ts";

interface BridgeFlags {
  readonly endpoint: URL;
  readonly listen: ListenAddress;
  readonly logLevel: Level;
}

/** `remex bridge` */
export function bridgeCommand(): Command {
  return new Command("bridge")
    .summary("take native gRPC from build clients and carry it to a Worker")
    .description(
      "Takes the native gRPC of Bazel and other build clients and carries it to a Remex Worker over HTTPS. " +
        "Run it beside the client, or once for a network that you trust: it does not ask who calls.",
    )
    .addOption(endpointOption())
    .addOption(
      new Option("--listen <host:port>", "where clients reach it; a port alone means this machine only")
        .default({ host: "127.0.0.1", port: 50_051 }, "127.0.0.1:50051")
        .env("REMEX_LISTEN")
        .argParser(parseListenAddress),
    )
    .addOption(logLevelOption("info"))
    .addHelpText(
      "after",
      `
Example:
  $ remex bridge --endpoint https://remex.example.com
  $ bazel build --remote_executor=grpc://localhost:50051 --remote_instance_name=main //...`,
    )
    .action(runBridge);
}

async function runBridge({ endpoint, listen, logLevel }: BridgeFlags): Promise<void> {
  const terminated = terminationSignal();
  const { startBridge } = await import("../bridge/server.ts");
  const bridge = await explainListenFault("--listen", () =>
    startBridge({ endpoint, listen, logger: createLogger(logLevel) }),
  );
  console.log(`Bridge  ready at grpc://${clientAddress(listen.host, bridge.port)}, for ${endpoint.href}`);
  await aborted(terminated);
  await bridge.close();
}
