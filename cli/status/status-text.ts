import type { EndpointStatus, InstanceStatus } from "./endpoint-status.ts";

/** What `remex status` prints for people. */
export function statusText({ endpoint, ready, reason, version, latency_ms, instances }: EndpointStatus): string {
  const what = version === undefined ? "" : `Remex ${version} at `;
  const how = ready ? `is ready (${latency_ms} ms)` : `is NOT ready: ${reason ?? "it doesn't say why"}`;
  return [
    `${what}${endpoint} ${how}`,
    ...(instances.length === 0 ? [] : ["", ...overview(instances)]),
    ...waiting(instances),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

function overview(instances: readonly InstanceStatus[]): string[] {
  return table([
    ["INSTANCE", "QUEUED", "OLDEST", "RUNNING", "AGENTS", "FREE SLOTS", "COMPLETED", "FAILED", "CACHE HITS"],
    ...instances.map((status) => [
      status.instance === "" ? '""' : status.instance,
      String(status.queued),
      status.queued === 0 ? "-" : duration(status.oldest_wait_s),
      String(status.active),
      agentsText(status),
      String(status.slots.free),
      String(status.executions_completed),
      String(status.executions_failed),
      hitRate(status),
    ]),
  ]);
}

/** The platforms that somebody waits for: where the queue is, and whether any agent could serve it. */
function waiting(instances: readonly InstanceStatus[]): string[] {
  return instances.flatMap(({ instance, platforms }) => {
    const queued = platforms.filter((platform) => platform.queued > 0);
    if (queued.length === 0) return [];
    const rows = queued.map(({ platform, queued, oldest_wait_s, agents }) => [
      platform === "" ? "any" : platform,
      String(queued),
      duration(oldest_wait_s),
      agents === 0 ? "none: start one that offers this" : String(agents),
    ]);
    return [
      "",
      `Queued in ${instance === "" ? '""' : instance}:`,
      ...table([["PLATFORM", "QUEUED", "OLDEST", "AGENTS"], ...rows]),
    ];
  });
}

function agentsText({ agents, agents_draining, agents_missing }: InstanceStatus): string {
  const others = [
    ...(agents_draining > 0 ? [`${agents_draining} draining`] : []),
    ...(agents_missing > 0 ? [`${agents_missing} missing`] : []),
  ];
  return others.length === 0 ? String(agents) : `${agents} (${others.join(", ")})`;
}

function hitRate({ action_cache_hits: hits, action_cache_misses: misses }: InstanceStatus): string {
  return hits + misses === 0 ? "-" : `${Math.round((100 * hits) / (hits + misses))}% of ${hits + misses}`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
