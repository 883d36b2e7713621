import type { AccessConfig, QuotaConfig } from "../config/schema.ts";
import type { Bucket } from "./token-bucket.ts";

/** What a caller may use. */
export interface CallerQuota {
  /** Callers of the same account share what there is, which one object keeps count of. */
  readonly account: string;
  /** What refusals are counted under: one for each entry of the configuration that has a quota. */
  readonly group: string;
  readonly limits: QuotaConfig;
}

/** What is counted, and over what time. */
export type QuotaKind = keyof QuotaConfig;

const PERIOD_MS: Readonly<Record<QuotaKind, number>> = {
  requests_per_minute: 60_000,
  upload_bytes_per_hour: 3_600_000,
};

const IN_WORDS: Readonly<Record<QuotaKind, string>> = {
  requests_per_minute: "requests a minute",
  upload_bytes_per_hour: "bytes of uploads an hour",
};

/** As much of a JSON Web Token's subject as names an account: OpenID Connect allows no longer ones. */
const MAX_SUBJECT_CHARACTERS = 255;

export const ANONYMOUS_GROUP = "anonymous";

export function tokenGroup(name: string): string {
  return `token ${name}`;
}

export function jwtGroup(issuer: string): string {
  return `jwt ${issuer}`;
}

export function certificateGroup(name: string): string {
  return `certificate ${name}`;
}

/** Every group that has a quota. */
export function quotaGroups({ anonymous_quota: anonymous, certificates, jwt, tokens }: AccessConfig): string[] {
  return [
    ...(anonymous === undefined ? [] : [ANONYMOUS_GROUP]),
    ...tokens.flatMap(({ name, quota }) => (quota === undefined ? [] : [tokenGroup(name)])),
    ...certificates.flatMap(({ name, quota }) => (quota === undefined ? [] : [certificateGroup(name)])),
    ...jwt.flatMap(({ issuer, quota }) => (quota === undefined ? [] : [jwtGroup(issuer)])),
  ];
}

/** The quota of a subject of an issuer: each has one of its own. */
export function subjectQuota(issuer: string, subject: string, limits: QuotaConfig): CallerQuota {
  const group = jwtGroup(issuer);
  return { account: `${group} ${subject.slice(0, MAX_SUBJECT_CHARACTERS)}`, group, limits };
}

/** The quota that all callers with a token, or all without one, have together. */
export function sharedQuota(group: string, limits: QuotaConfig): CallerQuota {
  return { account: group, group, limits };
}

/** The bucket that a kind of use is taken from; undefined where there is no limit. */
export function bucketOf({ limits }: CallerQuota, kind: QuotaKind): Bucket | undefined {
  const amount = limits[kind];
  return amount === undefined ? undefined : { amount, periodMs: PERIOD_MS[kind] };
}

/** A limit in words, for messages. */
export function describeLimit({ amount }: Bucket, kind: QuotaKind): string {
  return `${amount} ${IN_WORDS[kind]}`;
}
