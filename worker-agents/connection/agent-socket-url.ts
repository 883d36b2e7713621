import { instanceSegment } from "../../src/instance-segment.ts";

/** Where the agents of an instance open their sockets to a scheduler shard. */
export function agentSocketUrl(endpoint: URL, instanceName: string, shard: number): URL {
  const base = endpoint.href.replace(/\/$/, "").replace(/^http/, "ws");
  return new URL(`${base}/v1/instances/${instanceSegment(instanceName)}/agent${shard === 0 ? "" : `?shard=${shard}`}`);
}
