import type { Capacity, Hello } from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import type { AgentDescription } from "../scheduler/events.ts";
import { amountsOf, offerOf, type PlatformRules } from "../scheduler/platform.ts";

/** Bounds on what an agent may say of itself: agents are not trusted, and what they say is kept. */
const MAX = {
  idLength: 128,
  nameLength: 256,
  versionLength: 128,
  properties: 256,
  propertyLength: 1024,
  leases: 10_000,
  leaseIdLength: 128,
  inputRoots: 256,
  hashLength: 128,
  replaced: 256,
};

/** Why a Hello can't be accepted, in words for the agent's log; undefined if it can. */
export function refuseHello(hello: Hello): string | undefined {
  const properties = hello.platform?.properties ?? [];
  if (hello.agentId === "" || hello.agentId.length > MAX.idLength) return "agent_id must have 1 to 128 characters";
  if (hello.name.length > MAX.nameLength) return "name must have at most 256 characters";
  if (hello.version.length > MAX.versionLength) return "version must have at most 128 characters";
  if (properties.length > MAX.properties) return "platform must have at most 256 properties";
  if (!properties.every(fits)) {
    return "a platform property must have at most 1024 characters";
  }
  if (hello.maxActions < 0) return "max_actions must not be negative";
  if (hello.leaseIds.length > MAX.leases) return "lease_ids must be at most 10000";
  if (hello.replacedAgentIds.length > MAX.replaced) return "replaced_agent_ids must be at most 256";
  if (hello.leaseIds.some(({ length }) => length > MAX.leaseIdLength)) return "a lease id has at most 128 characters";
  if (hello.cachedInputRoots.length > MAX.inputRoots) return "cached_input_roots must be at most 256";
  if (hello.cachedInputRoots.some(({ hash }) => hash.length > MAX.hashLength)) {
    return "the hash of a cached input root has at most 128 digits";
  }
  if (hello.replacedAgentIds.some(({ length }) => length > MAX.idLength))
    return "an agent_id has at most 128 characters";
  return undefined;
}

function fits({ name, value }: { readonly name: string; readonly value: string }): boolean {
  return name.length + value.length <= MAX.propertyLength;
}

/** What people call it. */
export function agentName({ agentId, name }: Hello): string {
  return name === "" ? agentId : name;
}

/** What the scheduler needs to know of an agent. The Hello must have passed `refuseHello`. */
export function agentDescription(hello: Hello, rules: PlatformRules): AgentDescription {
  return {
    id: hello.agentId,
    name: agentName(hello),
    offer: offerOf(hello.platform?.properties ?? [], rules),
    maxActions: hello.maxActions,
    draining: hello.draining,
    inputRoots: hello.cachedInputRoots.map(({ hash, sizeBytes }) => inputRootKey(hash, sizeBytes)),
  };
}

/** What an agent lets this scheduler use of it now. */
export function agentCapacity({ maxActions, minimums }: Capacity): {
  maxActions: number;
  capacityMilli: ReadonlyMap<string, number>;
} {
  return {
    maxActions: maxActions < 0 ? Infinity : maxActions,
    capacityMilli: amountsOf(minimums.slice(0, MAX.properties).filter(fits)),
  };
}

export function inputRootKey(hash: string, sizeBytes: bigint): string {
  return `${hash}/${sizeBytes}`;
}
