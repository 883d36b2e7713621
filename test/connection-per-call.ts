import { Agent } from "node:http";

/**
 * For transports of connect-node: a connection for each call. workerd, once it has been busy for seconds on end, closes
 * connections that have only just become idle, and a client that takes one up at that moment finds it broken.
 */
export const CONNECTION_PER_CALL = {
  httpVersion: "1.1",
  nodeOptions: { agent: new Agent({ keepAlive: false }) },
} as const;
