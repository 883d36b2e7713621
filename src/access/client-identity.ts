import { errors, jwtVerify, type JWTPayload } from "jose";
import { z } from "zod";
import type { AccessConfig } from "../config/schema.ts";
import { certificateGroup, sharedQuota } from "../quota/caller-quota.ts";
import { grantsOf, unauthenticated } from "./authenticate.ts";
import type { Caller } from "./caller.ts";
import { CLIENT_IDENTITY, CLIENT_IDENTITY_HEADER } from "./client-identity-header.ts";

/** Clocks differ. With the time for which the bridge signs, this bounds how long an identity can be used again. */
const CLOCK_TOLERANCE_S = 30;

/** Whoever signs for longer than the bridge does is refused: a stolen identity must not be of use for long. */
const MAX_AGE_S = 300;

/** A shorter key could be guessed from a signature. */
const MIN_KEY_CHARACTERS = 32;

/** What is known of a client's certificate, each as the certificate has it. */
const certificateSchema = z.object({
  common_name: z.string().optional(),
  /** With their kind: `URI:spiffe://…`, `DNS:…`, `email:…`. */
  subject_alt_names: z.array(z.string()),
});

type ClientCertificate = z.infer<typeof certificateSchema>;

/**
 * The caller that a bridge vouches for: the holder of the certificate by which the client showed itself to the bridge.
 * @param keys the secret REMEX_BRIDGE_KEY: the keys that are accepted, separated by white space
 * @throws ConnectError UNAUTHENTICATED if no bridge with one of the keys has signed it, or not lately
 */
export async function identifyClient(access: AccessConfig, keys: string | undefined, token: string): Promise<Caller> {
  const usable = keys?.split(/\s+/).filter(({ length }) => length >= MIN_KEY_CHARACTERS);
  const certificate = await verified(usable ?? [], token);
  const name = nameOf(certificate);
  const entry = access.certificates.find((candidate) => matches(candidate, certificate));
  // Known, but with no role: the refusal of what it wants then says so.
  if (entry === undefined) return { name, authenticated: true, grants: new Map(), quota: undefined };
  return {
    name,
    authenticated: true,
    grants: grantsOf(entry.roles),
    quota: entry.quota && sharedQuota(certificateGroup(entry.name), entry.quota),
  };
}

async function verified(keys: readonly string[], token: string): Promise<ClientCertificate> {
  if (keys.length === 0) {
    throw unauthenticated(
      `this endpoint takes no ${CLIENT_IDENTITY_HEADER}: its secret REMEX_BRIDGE_KEY holds no key of ${MIN_KEY_CHARACTERS} characters or more`,
    );
  }
  for (const key of keys) {
    const payload = await payloadOf(key, token);
    const certificate = certificateSchema.safeParse(payload).data;
    if (certificate !== undefined) return certificate;
  }
  throw unauthenticated("the client's identity is signed by no bridge that is trusted here");
}

/** Undefined where the key is another. */
async function payloadOf(key: string, token: string): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await jwtVerify(token, new TextEncoder().encode(key), {
      ...CLIENT_IDENTITY,
      algorithms: ["HS256"],
      clockTolerance: CLOCK_TOLERANCE_S,
      maxTokenAge: MAX_AGE_S,
      requiredClaims: ["exp", "iat"],
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw unauthenticated("the client's identity has expired: check the bridge's clock");
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

function matches(
  { common_name: commonName, subject_alt_name: name }: AccessConfig["certificates"][number],
  certificate: ClientCertificate,
): boolean {
  return (
    (commonName === undefined || certificate.common_name === commonName) &&
    (name === undefined || certificate.subject_alt_names.includes(name))
  );
}

function nameOf({ common_name: commonName, subject_alt_names: names }: ClientCertificate): string {
  return commonName ?? names[0] ?? "a client with a certificate without a name";
}
