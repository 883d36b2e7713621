import type { Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { endpointAgent } from "../../endpoint/endpoint-agent.ts";
import { Slots } from "../concurrency.ts";
import { BlobStreams } from "./blob-streams.ts";
import type { RetryPolicy } from "./call-retries.ts";
import { CasBatches } from "./cas-batches.ts";

/** How many calls may read, and how many may write, at once: each holds up to one batch or piece in memory. */
const CALLS_AT_ONCE = 8;

export interface CasOptions {
  readonly endpoint: URL;
  readonly instanceName: string;
  /** Asked for each call. */
  readonly token: (() => string) | undefined;
  readonly retryPolicy: RetryPolicy;
  readonly callTimeoutMs: number;
  readonly maxRequestBytes: number;
  /** Whether blobs may be compressed on the way. Default: unless the endpoint is this machine. */
  readonly compresses?: boolean;
}

/** The CAS of one instance, as an agent reaches it. Closed when it is no longer needed. */
export interface Cas {
  readonly batches: CasBatches;
  readonly streams: BlobStreams;
  /** To be taken for each call that carries blobs. */
  readonly readSlots: Slots;
  readonly writeSlots: Slots;
  close(): void;
}

/** The names of this machine to itself: there, compression costs more than it saves. */
const LOOPBACK = /^(?:localhost|127\.[\d.]+|\[::1\])$/;

export function openCas(options: CasOptions): Cas {
  const { endpoint, token, compresses = !LOOPBACK.test(endpoint.hostname) } = options;
  const agent = endpointAgent(endpoint, { keepAlive: true });
  const transport = createConnectTransport({
    baseUrl: endpoint.href.replace(/\/$/, ""),
    httpVersion: "1.1",
    nodeOptions: { agent },
    interceptors: token === undefined ? [] : [bearerToken(token)],
    // Blobs are incompressible or soon will be (zstd is REAPI's own affair), and small answers gain nothing.
    acceptCompression: [],
  });
  return {
    batches: new CasBatches({ ...options, compresses, transport }),
    streams: new BlobStreams({ ...options, transport, stallTimeoutMs: options.callTimeoutMs }),
    readSlots: new Slots(CALLS_AT_ONCE),
    writeSlots: new Slots(CALLS_AT_ONCE),
    close: () => {
      agent.destroy();
    },
  };
}

function bearerToken(token: () => string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token()}`);
    return next(request);
  };
}
