import { Command, Option } from "commander";
import type { Level, Logger } from "pino";
import { DEFAULT_LIMITS } from "../bridge/limits.ts";
import { clientTls, readPem, type TlsFlags } from "./client-tls.ts";
import { Fault } from "./fault.ts";
import { clientAddress, explainListenFault } from "./listening.ts";
import { createLogger, logLevelOption } from "./logger.ts";
import { endpointOption, type ListenAddress, parseListenAddress, parseWholeNumberFrom } from "./options.ts";
import { optionsFileOption } from "./options-file.ts";
import { aborted } from "../worker-agents/aborted.ts";
import { terminationSignal } from "./termination.ts";
import { renewedToken, tokenFileOption } from "./token-file.ts";
import { openTracing } from "./tracing.ts";
import { collectBuffersEarly } from "./early-collection.ts";

/** A request must hold one of the parts in which the Worker stores large blobs, or no upload would get further. */
const LEAST_REQUEST_BYTES = 16 * 1024 * 1024;

/** As the Worker wants it. */
const LEAST_IDENTITY_KEY_CHARACTERS = 32;

interface BridgeFlags extends TlsFlags {
  readonly endpoint: URL;
  readonly endpointCa?: string;
  readonly tokenFile?: string;
  readonly identityKeyFile?: string;
  readonly listen: ListenAddress;
  readonly batchWindowMs: number;
  readonly batchBlobBytes: number;
  readonly outputMemoryBytes: number;
  readonly existenceTtlS: number;
  readonly maxRequestBytes: number;
  readonly logLevel: Level;
}

/** `remex bridge` */
export function bridgeCommand(): Command {
  return new Command("bridge")
    .summary("take native gRPC from build clients and carry it to a Worker")
    .description(
      "Takes the native gRPC of Bazel and other build clients and carries it to a Remex Worker over HTTPS. Run it beside " +
        "the client, or once for a network that you trust.",
    )
    .addOption(endpointOption())
    .addOption(
      new Option(
        "--endpoint-ca <file>",
        "the authority (PEM) of the Worker's certificate, if it is one of your own",
      ).env("REMEX_ENDPOINT_CA"),
    )
    .addOption(tokenFileOption("the token of clients that send none themselves; it is read again when it is renewed"))
    .addOption(
      new Option("--listen <address>", "where clients reach it: host:port, a port of this machine, or unix:/path")
        .default({ host: "127.0.0.1", port: 50_051 }, "127.0.0.1:50051")
        .env("REMEX_LISTEN")
        .argParser(parseListenAddress),
    )
    .addOption(
      new Option(
        "--tls-cert <file>",
        "its certificate (PEM): clients then use grpcs://; renewed ones are taken into use",
      ).env("REMEX_TLS_CERT"),
    )
    .addOption(new Option("--tls-key <file>", "that certificate's private key (PEM)").env("REMEX_TLS_KEY"))
    .addOption(
      new Option("--client-ca <file>", "serve only clients with a certificate that this authority (PEM) signed").env(
        "REMEX_CLIENT_CA",
      ),
    )
    .addOption(
      new Option(
        "--identity-key-file <file>",
        "the key, which the Worker has too, by which it vouches for who its clients are by their certificates",
      ).env("REMEX_IDENTITY_KEY_FILE"),
    )
    .addOption(
      limitOption("--batch-window-ms <ms>", "how long small blobs may wait to be sent together; 0 sends each alone", 0)
        .default(DEFAULT_LIMITS.batchWindowMs)
        .env("REMEX_BATCH_WINDOW_MS"),
    )
    .addOption(
      limitOption("--batch-blob-bytes <bytes>", "the largest blob that is sent together with others", 1)
        .default(DEFAULT_LIMITS.batchBlobBytes)
        .env("REMEX_BATCH_BLOB_BYTES"),
    )
    .addOption(
      limitOption(
        "--output-memory-bytes <bytes>",
        "how much it holds of small outputs of cached actions; 0 for none",
        0,
      )
        .default(DEFAULT_LIMITS.outputMemoryBytes)
        .env("REMEX_OUTPUT_MEMORY_BYTES"),
    )
    .addOption(
      limitOption("--existence-ttl-s <seconds>", "how long it answers by itself that a blob is there; 0 for never", 0)
        .default(DEFAULT_LIMITS.existenceTtlMs / 1000)
        .env("REMEX_EXISTENCE_TTL_S"),
    )
    .addOption(
      limitOption(
        "--max-request-bytes <bytes>",
        "what the Worker takes in one request; a larger upload goes in several",
        LEAST_REQUEST_BYTES,
      )
        .default(DEFAULT_LIMITS.maxRequestBytes)
        .env("REMEX_MAX_REQUEST_BYTES"),
    )
    .addOption(optionsFileOption())
    .addOption(logLevelOption("info"))
    .addHelpText(
      "after",
      `
Without --client-ca it does not ask who calls: whoever reaches it can do what --token-file, or the Worker's configuration
for callers without a token, allows. A Unix socket is protected by its directory.

With --client-ca and --identity-key-file each client has the roles that the Worker's configuration gives to its certificate
(access.certificates).

--existence-ttl-s spares Bazel's questions about inputs that it has asked about before. Keep it well below the time for
which the Worker surely keeps a blob. It forgets everything as soon as the Worker misses something.

Examples:
  $ remex bridge --endpoint https://remex.example.com --token-file remex-token
  $ bazel build --remote_executor=grpc://localhost:50051 --remote_instance_name=main //...

  $ remex bridge --endpoint https://remex.example.com --listen unix:/run/remex/bridge.sock
  $ bazel build --remote_executor=unix:/run/remex/bridge.sock //...

  $ remex bridge --endpoint https://remex.example.com --listen 0.0.0.0:443 --tls-cert bridge.pem --tls-key bridge.key
  $ bazel build --remote_executor=grpcs://bridge.example.com //...`,
    )
    .action(runBridge);
}

/** @throws Fault if there is one that is of no use, or too short. */
function identityKeyOf({ clientCa, identityKeyFile }: BridgeFlags, logger: Logger): (() => string) | undefined {
  if (identityKeyFile === undefined) return undefined;
  if (clientCa === undefined) throw new Fault("--identity-key-file needs --client-ca, by which clients are known");
  const key = renewedToken(identityKeyFile, logger);
  if (key().length >= LEAST_IDENTITY_KEY_CHARACTERS) return key;
  throw new Fault(
    `${identityKeyFile} is no identity key: it needs ${LEAST_IDENTITY_KEY_CHARACTERS} characters or more`,
  );
}

function limitOption(flags: string, description: string, least: number): Option {
  return new Option(flags, description).argParser(parseWholeNumberFrom(least));
}

async function runBridge(flags: BridgeFlags): Promise<void> {
  const { endpoint, listen, tokenFile } = flags;
  collectBuffersEarly();
  const terminated = terminationSignal();
  const logger = createLogger(flags.logLevel);
  const tls = clientTls(flags);
  const endpointCa = flags.endpointCa === undefined ? undefined : readPem("--endpoint-ca", flags.endpointCa);
  const token = renewedToken(tokenFile, logger);
  if (token !== undefined && endpoint.protocol === "http:") {
    logger.warn(
      { endpoint: endpoint.href },
      "the token goes to the endpoint unencrypted; use https:// beyond this machine",
    );
  }
  const identityKey = identityKeyOf(flags, logger);
  const tracing = await openTracing("remex-bridge");
  const { startBridge } = await import("../bridge/server.ts");
  const bridge = await explainListenFault("--listen", () =>
    startBridge({
      listen,
      tls,
      endpoint,
      endpointCa,
      token,
      identityKey,
      logger,
      tracer: tracing?.tracer,
      limits: {
        batchWindowMs: flags.batchWindowMs,
        batchBlobBytes: flags.batchBlobBytes,
        outputMemoryBytes: flags.outputMemoryBytes,
        existenceTtlMs: flags.existenceTtlS * 1000,
        maxRequestBytes: flags.maxRequestBytes,
      },
    }),
  );
  const scheme = tls === undefined ? "grpc" : "grpcs";
  const address = "path" in listen ? `unix:${listen.path}` : `${scheme}://${clientAddress(listen.host, bridge.port)}`;
  console.log(`Bridge  ready at ${address}, for ${endpoint.href}`);
  await aborted(terminated);
  await bridge.close();
  await tracing?.close();
}
