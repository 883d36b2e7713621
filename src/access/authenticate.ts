import { Buffer } from "node:buffer";
import { Code, ConnectError } from "@connectrpc/connect";
import type { AccessConfig } from "../config/schema.ts";
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
  if (authorization === null) return { ...NOBODY, grants: grantsOf(access.anonymous) };
  const credential = credentialOf(authorization);
  if (credential === undefined) {
    throw unauthenticated(
      "the Authorization header is neither `Bearer` with a token nor `Basic` with one as the password",
    );
  }

  const sha256 = hex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(credential)));
  // Hashes of secrets are compared, not secrets: how long that takes tells nothing about a token.
  const token = access.tokens.find((candidate) => candidate.sha256 === sha256);
  if (token !== undefined) return { name: token.name, authenticated: true, grants: grantsOf(token.roles) };

  if (access.jwt.length === 0 || credential.split(".").length !== 3) throw unauthenticated("the token is not known");
  return verifyJwt(access.jwt, credential);
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

function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
