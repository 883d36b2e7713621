import type { Target } from "../target.ts";
import { bridgeClients, bridgeServices } from "./bridge-clients.ts";
import { agentEndpoint } from "./agent-endpoint.ts";
import { bridgeEndpoint } from "./bridge-endpoint.ts";
import { calls } from "./calls.ts";
import { compressedBlobs } from "./compressed-blobs.ts";
import { lyingAgents } from "./lying-agents.ts";
import { requests } from "./requests.ts";
import { slowBodies } from "./slow-bodies.ts";
import { trees } from "./trees.ts";

export const WORKER_TARGETS: readonly Target[] = [
  calls,
  requests,
  trees,
  compressedBlobs,
  lyingAgents,
  slowBodies,
  bridgeClients,
  bridgeServices,
  bridgeEndpoint,
  agentEndpoint,
];
