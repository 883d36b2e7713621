import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../protos/gen/grpc/health/v1/health_pb.ts";
import { pause } from "./pause.ts";
import { LOCAL_SERVICES, SERVED_SERVICES } from "./served-services.ts";
import type { Upstream } from "./upstream.ts";

/** The endpoint must answer a health probe in this time. */
const PROBE_TIMEOUT_MS = 5000;

const NAMES: ReadonlySet<string> = new Set(["", ...SERVED_SERVICES.map(({ typeName }) => typeName)]);
const LOCAL_NAMES: ReadonlySet<string> = new Set(LOCAL_SERVICES.map(({ typeName }) => typeName));

/**
 * grpc.health.v1: the bridge as a whole (the empty name) and the endpoint's services are SERVING while the endpoint's
 * `/healthz` says so; the bridge's own services always are.
 * @param probeIntervalMs how often a Watch asks; a Check asks each time, several at once together
 */
export function createHealthService(upstream: Upstream, probeIntervalMs: number): ServiceImpl<typeof Health> {
  let probe: Promise<boolean> | undefined;

  async function statusOf(service: string): Promise<ServingStatus> {
    if (LOCAL_NAMES.has(service)) {
      return ServingStatus.SERVING;
    }
    probe ??= upstream.isHealthy(PROBE_TIMEOUT_MS).finally(() => {
      probe = undefined;
    });
    return (await probe) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  return {
    async check({ service }) {
      if (!NAMES.has(service)) {
        throw new ConnectError(`no service is named "${service}"; reflection lists those that are`, Code.NotFound);
      }
      return { status: await statusOf(service) };
    },

    async *watch({ service }, { signal }) {
      let last: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = NAMES.has(service) ? await statusOf(service) : ServingStatus.SERVICE_UNKNOWN;
        if (status !== last) {
          last = status;
          yield { status };
        }
        await pause(probeIntervalMs, signal);
      }
    },

    async list() {
      const names = [...NAMES];
      const statuses = names.map(async (name) => [name, { status: await statusOf(name) }] as const);
      return { statuses: Object.fromEntries(await Promise.all(statuses)) };
    },
  };
}
