import { expect, it } from "vitest";
import type { InstanceStatus } from "../../../cli/status/endpoint-status.ts";
import { statusText } from "../../../cli/status/status-text.ts";

const BUSY: InstanceStatus = {
  instance: "main",
  queued: 12,
  active: 8,
  oldest_wait_s: 95,
  slots: { free: 0, busy: 8 },
  agents: 2,
  agents_draining: 1,
  agents_missing: 0,
  executions_completed: 1042,
  executions_failed: 3,
  action_cache_hits: 870,
  action_cache_misses: 130,
  platforms: [
    { platform: "OSFamily=linux", queued: 11, active: 8, oldest_wait_s: 95, agents: 2 },
    { platform: "OSFamily=plan9", queued: 1, active: 0, oldest_wait_s: 4, agents: 0 },
  ],
};

const IDLE: InstanceStatus = {
  ...BUSY,
  instance: "",
  queued: 0,
  active: 0,
  oldest_wait_s: 0,
  agents_draining: 0,
  agents_missing: 2,
  action_cache_hits: 0,
  action_cache_misses: 0,
  platforms: [],
};

it("people are told of each instance, and of what is queued for which platform", () => {
  const status = {
    endpoint: "https://a.example.com/",
    ready: true,
    latency_ms: 43,
    version: "1.2.3",
    instances: [BUSY, IDLE],
  };
  expect(statusText(status)).toBe(`Remex 1.2.3 at https://a.example.com/ is ready (43 ms)

INSTANCE  QUEUED  OLDEST  RUNNING  AGENTS          FREE SLOTS  COMPLETED  FAILED  CACHE HITS
main      12      2 min   8        2 (1 draining)  0           1042       3       87% of 1000
""        0       -       0        2 (2 missing)   0           1042       3       -

Queued in main:
PLATFORM        QUEUED  OLDEST  AGENTS
OSFamily=linux  11      2 min   2
OSFamily=plan9  1       4 s     none: start one that offers this
`);
});

it("an endpoint that isn't ready says why", () => {
  const status = { endpoint: "http://a/", ready: false, reason: "no bucket", latency_ms: 1, instances: [] };
  expect(statusText(status)).toBe("http://a/ is NOT ready: no bucket\n");
});
