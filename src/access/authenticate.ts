import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import type { AccessConfig } from "../config/schema.ts";
import { ANONYMOUS_GROUP, sharedQuota, tokenGroup } from "../quota/caller-quota.ts";
import { type Caller, type Grants, NOBODY } from "./caller.ts";
import { verifyJwt } from "./json-web-token.ts";
import type { Role } from "./roles.ts";

/**
 * Who makes the call, by its `Authorization` header (`Bearer`, or `Basic` from clients that only know passwords): a token
 * whose SHA-256 the configuration has, or a JSON Web Token of an issuer that it trusts. Without the header it is anonymous,
 * with what the configuration grants to that.
 *
 * @throws ConnectError UNAUTHENTICATED if the header holds nothing that is accepted: a caller with a bad token is told so
 * rather than served as anybody.
 */
export async function authenticate(access: AccessConfig, authorization: string | null): Promise<Caller> {
  if (authorization === null) {
    const { anonymous, anonymous_quota: limits } = access;
    return { ...NOBODY, grants: grantsOf(anonymous), quota: limits && sharedQuota(ANONYMOUS_GROUP, limits) };
  }
  const credential = credentialOf(authorization);
  if (credential === undefined) {
    throw unauthenticated(
      "the Authorization header is neither `Bearer` with a token nor `Basic` with one as the password",
    );
  }

  const token = tokenOf(access, credential);
  if (token !== undefined) {
    const { name, quota, roles } = token;
    return {
      name,
      authenticated: true,
      grants: grantsOf(roles),
      quota: quota && sharedQuota(tokenGroup(name), quota),
    };
  }

  if (access.jwt.length === 0 || credential.split(".").length !== 3) throw unauthenticated("the token is not known");
  return verifyJwt(access.jwt, credential);
}

/**
 * The configured token that a credential is. How long it takes tells nothing of the hashes, by which a weak token could be
 * guessed elsewhere.
 */
function tokenOf({ tokens }: AccessConfig, credential: string): AccessConfig["tokens"][number] | undefined {
  const sha256 = createHash("sha256").update(credential).digest();
  return tokens.filter((candidate) => timingSafeEqual(Buffer.from(candidate.sha256, "hex"), sha256))[0];
}

/** The token in the header: a Bearer one, or the password of Basic, whose user name means nothing. */
function credentialOf(authorization: string): string | undefined {
  const [, scheme = "", text = ""] = /^(Bearer|Basic) +([\x21-\x7e]+)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== "basic") return text === "" ? undefined : text;
  const [, password] = /^[^:]*:([\x21-\x7e]+)$/.exec(Buffer.from(text, "base64").toString("latin1")) ?? [];
  return password;
}

export function grantsOf(roles: Readonly<Record<string, readonly Role[]>>): Grants {
  return new Map(Object.entries(roles));
}

export function unauthenticated(reason: string): ConnectError {
  return new ConnectError(`${reason}; send a valid token as \`Authorization: Bearer …\``, Code.Unauthenticated);
}
