import { createContextKey } from "@connectrpc/connect";
import type { CallerQuota } from "../quota/caller-quota.ts";
import { allows, type Right, type Role } from "./roles.ts";

/** Roles by instance name; those under `*` are for every instance. */
export type Grants = ReadonlyMap<string, readonly Role[]>;

/** Who makes a call. */
export interface Caller {
  /** For logs: the token's name, the subject of a JWT, or `anonymous`. */
  readonly name: string;
  /** Whether it proved who it is. */
  readonly authenticated: boolean;
  readonly grants: Grants;
  /** What it may use; undefined for as much as it likes. */
  readonly quota: CallerQuota | undefined;
}

export const NOBODY: Caller = { name: "anonymous", authenticated: false, grants: new Map(), quota: undefined };

/** Where a service finds who calls it. A call that went round the authentication is nobody's. */
export const callerKey = createContextKey<Caller>(NOBODY, { description: "who makes the call" });

/** Whether the caller has the right on every instance. */
export function mayOnAll(caller: Caller, right: Right): boolean {
  return allows(caller.grants.get("*") ?? [], right);
}

/** Whether the caller has the right on the instance. */
export function mayOn(caller: Caller, instanceName: string, right: Right): boolean {
  const roles = [...(caller.grants.get(instanceName) ?? []), ...(caller.grants.get("*") ?? [])];
  return allows(roles, right);
}
