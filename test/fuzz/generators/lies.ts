import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AgentMessageSchema,
  CapacitySchema,
  HelloSchema,
  LeaseProgress_Phase,
  LeaseProgressSchema,
  LeaseResult_Outcome as Outcome,
  LeaseResultSchema,
  OutputChunkSchema,
} from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { ScriptedAgent } from "../../durable-objects/instance/scripted-agent.ts";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { corrupt } from "./corruptions.ts";
import { hostileBinary } from "./hostile-messages.ts";
import { hostileString, randomBytes } from "./hostile-values.ts";

type ActionResultInit = NonNullable<MessageInitShape<typeof LeaseResultSchema>["actionResult"]>;

const OVERSIZED_BYTES = 5 << 20;

/** Lets an agent say something that no honest one says. Returns what, for messages. */
export function lie(random: Random, agent: ScriptedAgent, leaseId: string): string {
  const kinds = Object.keys(LIES);
  const kind = random.pick(kinds) ?? "";
  LIES[kind]?.(random, agent, leaseId);
  return kind;
}

const LIES: Readonly<Record<string, (random: Random, agent: ScriptedAgent, leaseId: string) => void>> = {
  "random bytes": (random, agent) => {
    agent.sendRaw(randomBytes(random, random.between(0, 300)));
  },
  "a corrupt result": (random, agent) => {
    agent.sendRaw(corrupt(random, hostileBinary(random, AgentMessageSchema, "main")));
  },
  "a text frame": (random, agent) => {
    agent.sendRaw(hostileString(random));
  },
  "an oversized frame": (random, agent) => {
    agent.sendRaw(new Uint8Array(OVERSIZED_BYTES).fill(random.between(0, 255)));
  },
  "a flood of Hellos": (random, agent) => {
    const sameAgent = random.chance(0.5);
    for (let count = 0; count < 50; count += 1) {
      const agentId = sameAgent ? agent.id : `${agent.id}-${count}`;
      agent.send({ case: "hello", value: { agentId, name: "flood", maxActions: 1_000_000 } });
    }
  },
  "a hostile Hello": (random, agent) => {
    const hello = fromBinary(HelloSchema, hostileBinary(random, HelloSchema, "main"));
    agent.send({ case: "hello", value: { ...hello, agentId: random.chance(0.7) ? agent.id : hello.agentId } });
  },
  "results of others' leases": (random, agent, leaseId) => {
    const [executionId = ""] = leaseId.split(".");
    for (const id of [`${executionId}.99`, "", ".", hostileString(random), `${crypto.randomUUID()}.1`]) {
      agent.complete(id);
    }
  },
  "a hostile result": (random, agent, leaseId) => {
    const result = fromBinary(LeaseResultSchema, hostileBinary(random, LeaseResultSchema, "main"));
    agent.send({ case: "result", value: { ...result, leaseId } });
  },
  "escaping outputs": (random, agent, leaseId) => {
    agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: escapingResult(random) });
  },
  "impossible metadata": (_random, agent, leaseId) => {
    const executionMetadata = {
      executionStartTimestamp: { seconds: 1n << 60n, nanos: -1 },
      auxiliaryMetadata: [{ typeUrl: "type.googleapis.com/no.such.Type", value: new Uint8Array(3) }],
      virtualExecutionDuration: { seconds: -(1n << 62n), nanos: 5 },
    };
    agent.send({
      case: "progress",
      value: { leaseId, phase: LeaseProgress_Phase.EXECUTING, metadata: executionMetadata },
    });
    agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: { executionMetadata } });
  },
  "endless metadata": (_random, agent, leaseId) => {
    const typeUrl = "x".repeat(1 << 20);
    agent.send({
      case: "progress",
      value: { leaseId, phase: LeaseProgress_Phase.EXECUTING, metadata: { auxiliaryMetadata: [{ typeUrl }] } },
    });
  },
  "an endless failure": (_random, agent, leaseId) => {
    const status = { code: 13, message: "x".repeat(3 << 20) };
    agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status });
  },
  "an endless refusal": (_random, agent, leaseId) => {
    const details = [{ typeUrl: "type.googleapis.com/no.such.Type", value: new Uint8Array(1 << 20) }];
    agent.end(leaseId, { outcome: Outcome.REFUSED, status: { code: 9, message: "x".repeat(1 << 20), details } });
  },
  "a hostile progress": (random, agent, leaseId) => {
    const progress = fromBinary(LeaseProgressSchema, hostileBinary(random, LeaseProgressSchema, "main"));
    agent.send({ case: "progress", value: { ...progress, leaseId } });
  },
  "a hostile capacity": (random, agent) => {
    agent.send({ case: "capacity", value: fromBinary(CapacitySchema, hostileBinary(random, CapacitySchema, "main")) });
  },
  "output that nobody asked for": (random, agent) => {
    const chunk = fromBinary(OutputChunkSchema, hostileBinary(random, OutputChunkSchema, "main"));
    agent.send({ case: "output", value: { ...chunk, requestId: "r".repeat(random.between(0, 1000)) } });
  },
  "that it drains": (_random, agent) => {
    agent.send({ case: "drain", value: {} });
  },
};

function escapingResult(random: Random): ActionResultInit {
  const path =
    random.pick(["../../etc/passwd", "/etc/passwd", "a/../../b", "..", "a//b", "./a", "a/", "sub/../out"]) ?? "";
  const digest = { hash: "0".repeat(64), sizeBytes: 1n };
  switch (random.between(0, 2)) {
    case 0:
      return { outputFiles: [{ path, digest }] };
    case 1:
      return { outputDirectories: [{ path, treeDigest: digest }] };
    default:
      return { outputSymlinks: [{ path, target: "/etc/passwd" }] };
  }
}
