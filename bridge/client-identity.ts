import { createHmac } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { CLIENT_IDENTITY } from "../src/access/client-identity-header.ts";

/** How long a signature holds, and after how much of that the next call of its client has a new one. */
const LIFE_MS = 120_000;
const RENEWAL_MS = 60_000;

/** As much of an HTTP/2 session as it takes to ask who is at its other end; without TLS it can't be asked. */
export interface TlsConnection {
  readonly socket: {
    readonly remoteAddress?: string | undefined;
    readonly getPeerCertificate?: () => Partial<PeerCertificate>;
  };
}

interface Signed {
  readonly token: string;
  readonly signedAtMs: number;
}

/**
 * Signs for who the bridge's clients are by their certificates, so that the Worker can tell them apart: it sees the bridge
 * alone. A signature is about no call, and so one does for all calls of a connection for a while.
 */
export class ClientIdentities {
  readonly #key: () => string;
  readonly #nowMs: () => number;
  readonly #signed = new WeakMap<TlsConnection, Signed>();

  /**
   * @param key what the Worker checks signatures with, asked for at each one
   * @param nowMs the time of day
   */
  constructor(key: () => string, nowMs: () => number = Date.now) {
    this.#key = key;
    this.#nowMs = nowMs;
  }

  /** The header's value for a client; undefined for one without a certificate. */
  of(session: TlsConnection | undefined): string | undefined {
    if (session === undefined) return undefined;
    const nowMs = this.#nowMs();
    const known = this.#signed.get(session);
    if (known !== undefined && nowMs - known.signedAtMs < RENEWAL_MS) return known.token;
    const certificate = certificateOf(session);
    if (certificate === undefined) return undefined;
    const token = sign(identityClaims(certificate), this.#key(), nowMs);
    this.#signed.set(session, { token, signedAtMs: nowMs });
    return token;
  }
}

function certificateOf({ socket }: TlsConnection): CertificateNames | undefined {
  // Without one it is an empty object.
  const { subject, subjectaltname } = socket.getPeerCertificate?.() ?? {};
  return subject === undefined ? undefined : { subject, subjectaltname };
}

export interface IdentityClaims {
  readonly common_name?: string;
  readonly subject_alt_names: readonly string[];
}

/** What the Worker is told of a certificate. One with several common names has none that could be relied on. */
export function identityClaims({ subject, subjectaltname }: CertificateNames): IdentityClaims {
  return {
    ...(typeof subject.CN === "string" && { common_name: subject.CN }),
    subject_alt_names: subjectaltname === undefined ? [] : splitNames(subjectaltname),
  };
}

interface CertificateNames {
  readonly subject: { readonly CN?: string | string[] };
  readonly subjectaltname?: string | undefined;
}

/** Node's text has names separated by commas, and those with special characters as JSON strings. */
function splitNames(text: string): string[] {
  return [...text.matchAll(/([\w ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/g)].map(
    ([, kind = "", name = ""]) => `${kind}:${name.startsWith('"') ? String(JSON.parse(name)) : name}`,
  );
}

/** A JSON Web Token of HS256. jose, which checks it in the Worker, signs only asynchronously; a call is not to wait for it. */
function sign(claims: IdentityClaims, key: string, nowMs: number): string {
  const { audience: aud, issuer: iss } = CLIENT_IDENTITY;
  const iat = Math.floor(nowMs / 1000);
  const signed = [
    { alg: "HS256", typ: "JWT" },
    { ...claims, iss, aud, iat, exp: iat + LIFE_MS / 1000 },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}
