import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { openCallKey } from "../connect/open-call.ts";
import { openCall } from "../memory/open-calls.ts";
import { servedConfig } from "../config/served-config.ts";
import type { Env } from "../env.ts";
import { reportedError } from "../errors/unexpected.ts";
import { chargeRequest } from "../quota/charge.ts";
import { serveInstance, type ServedInstance } from "../served-instance.ts";
import { authenticate, unauthenticated } from "./authenticate.ts";
import { type Caller, callerKey, mayOn } from "./caller.ts";
import { identifyClient } from "./client-identity.ts";
import { CLIENT_IDENTITY_HEADER } from "./client-identity-header.ts";
import { type Right, rolesWith } from "./roles.ts";

/** A caller, or the context of a call that knows it. */
export type Who = Caller | Pick<HandlerContext, "values">;

/**
 * Who makes the call with these headers. To be asked once for each call, since it counts against the caller's quota.
 * @throws ConnectError UNAUTHENTICATED if it shows a credential that isn't accepted, RESOURCE_EXHAUSTED if it has used up
 * its quota
 */
export async function callerOf(env: Env, headers: Headers): Promise<Caller> {
  const authorization = headers.get("authorization");
  const identity = headers.get(CLIENT_IDENTITY_HEADER);
  // What the client shows itself comes before what the bridge says of it.
  if (identity === null || authorization !== null) return callerWith(env, authorization);
  const caller = await identifyClient(servedConfig(env).access, env.REMEX_BRIDGE_KEY, identity);
  await chargeRequest(env, caller);
  return caller;
}

/** As `callerOf`, for whoever has the credential elsewhere than in that header. */
export async function callerWith(env: Env, authorization: string | null): Promise<Caller> {
  const caller = await authenticate(servedConfig(env).access, authorization);
  await chargeRequest(env, caller);
  return caller;
}

/** Finds out who makes a call, and counts it, before anything of its body is read. */
export function authenticating(env: Env): (context: HandlerContext) => Promise<void> {
  return async ({ requestHeader, values }) => {
    try {
      const caller = await callerOf(env, requestHeader);
      values.set(callerKey, caller);
      values.set(openCallKey, openCall(caller.name));
    } catch (error) {
      throw reportedError(error);
    }
  };
}

/**
 * The instance that a caller names, for what it wants to do there. The only way by which a service comes to an instance:
 * so none can forget to ask for the right, and nothing is touched before it is there.
 *
 * @throws ConnectError UNAUTHENTICATED or PERMISSION_DENIED if the caller has no role with that right on the instance,
 * INVALID_ARGUMENT if there is no such instance
 */
export function authorizedInstance(env: Env, who: Who, instanceName: string, right: Right): ServedInstance {
  const caller = "values" in who ? who.values.get(callerKey) : who;
  if (!mayOn(caller, instanceName, right)) throw refused(caller, instanceName, right);
  return serveInstance(env, instanceName);
}

/** The refusal for a caller that has the right on no instance at all. */
export function refusedEverywhere(caller: Caller, right: Right): ConnectError {
  return refusal(caller, right, "an instance");
}

function refused(caller: Caller, instanceName: string, right: Right): ConnectError {
  return refusal(caller, right, `instance "${instanceName.slice(0, 256)}"`);
}

function refusal(caller: Caller, right: Right, where: string): ConnectError {
  const roles = rolesWith(right).join(", ");
  const what = `${right} on ${where} needs one of the roles ${roles}`;
  if (!caller.authenticated) return unauthenticated(`${what}, which callers without a token don't have`);
  return new ConnectError(
    `${what}, which "${caller.name}" doesn't have; ask whoever runs the endpoint for it (access.tokens, or the token's roles)`,
    Code.PermissionDenied,
  );
}
