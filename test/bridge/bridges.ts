import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { BridgeLimits } from "../../bridge/limits.ts";
import { type Bridge, type BridgeOptions, startBridge } from "../../bridge/server.ts";

export const SILENT = pino({ level: "silent" });

/** A bridge on a free port unless told otherwise, which ends with the test. */
export async function startTestBridge(
  endpoint: URL,
  limits: Partial<BridgeLimits> = {},
  options: Partial<BridgeOptions> = {},
): Promise<Bridge> {
  const bridge = await startBridge({
    listen: { host: "127.0.0.1", port: 0 },
    endpoint,
    logger: SILENT,
    limits: { shutdownGraceMs: 50, resumePauseMs: 1, ...limits },
    ...options,
  });
  onTestFinished(() => bridge.close());
  return bridge;
}
