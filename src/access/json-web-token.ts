import { createRemoteJWKSet, decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from "jose";
import { z } from "zod";
import type { JwtConfig } from "../config/schema.ts";
import { unavailableError } from "../errors/unavailable.ts";
import { subjectQuota } from "../quota/caller-quota.ts";
import { unauthenticated } from "./authenticate.ts";
import type { Caller } from "./caller.ts";
import { ROLES } from "./roles.ts";

/** How long fetched keys are used, and how soon a token with an unknown key may have them fetched again (rotation). */
const KEYS = { cacheMaxAge: 600_000, cooldownDuration: 30_000, timeoutDuration: 5000 } as const;

/** Clocks differ. */
const CLOCK_TOLERANCE_S = 30;

/** Signatures by a public key alone: with a shared secret, whoever can check a token can make one. */
const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/** The claim that grants roles: roles on every instance, or a map from instance names to roles. */
const rolesClaim = z.union([z.array(z.enum(ROLES)), z.record(z.string(), z.array(z.enum(ROLES)))]);

/** By URL, for the life of the isolate. Each set keeps its keys and the time of its last fetch. */
const keySets = new Map<string, JWTVerifyGetKey>();

/**
 * The caller that a token names.
 * @throws ConnectError UNAUTHENTICATED if no issuer that is trusted vouches for it, UNAVAILABLE if the keys can't be had
 */
export async function verifyJwt(trusted: readonly JwtConfig[], token: string): Promise<Caller> {
  const { aud, iss } = unverifiedClaims(token);
  const ofIssuer = trusted.filter(({ issuer }) => issuer === iss);
  // One issuer may be trusted for several audiences, each with a claim and a quota of its own.
  const config = ofIssuer.find(({ audience }) => [aud].flat().includes(audience)) ?? ofIssuer[0];
  if (config === undefined) throw unauthenticated("the token's issuer is not trusted here");
  try {
    const { payload } = await jwtVerify(token, keySet(config.jwks_url), {
      issuer: config.issuer,
      audience: config.audience,
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ["exp"],
    });
    const claimed = rolesClaim.safeParse(payload[config.roles_claim]);
    if (!claimed.success) throw unauthenticated(`the token's claim "${config.roles_claim}" holds no roles`);
    const grants = Array.isArray(claimed.data) ? { "*": claimed.data } : claimed.data;
    const name = payload.sub ?? config.issuer;
    return {
      name,
      authenticated: true,
      grants: new Map(Object.entries(grants)),
      quota: config.quota && subjectQuota(config.issuer, name, config.quota),
    };
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw unauthenticated("the token has expired");
    if (error instanceof errors.JWKSTimeout || !(error instanceof errors.JOSEError)) {
      if (error instanceof Error && error.name === "ConnectError") throw error;
      throw unavailableError(`the keys of issuer ${config.issuer} can't be fetched; try again`, 5000, error);
    }
    throw unauthenticated("the token is not valid");
  }
}

/** What the token says of itself. */
function unverifiedClaims(token: string): Pick<JWTPayload, "aud" | "iss"> {
  try {
    return decodeJwt(token);
  } catch {
    // What can't be read has no issuer, and is refused for that.
    return {};
  }
}

function keySet(url: string): JWTVerifyGetKey {
  let keys = keySets.get(url);
  if (keys === undefined) {
    keys = createRemoteJWKSet(new URL(url), KEYS);
    keySets.set(url, keys);
  }
  return keys;
}
