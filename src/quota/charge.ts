import type { Quota } from "../../durable-objects/quota.ts";
import type { Caller } from "../access/caller.ts";
import { servedConfig } from "../config/served-config.ts";
import { SHA256 } from "../digest/digest-function.ts";
import { startHash } from "../digest/verify.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { callObject } from "../objects/call-object.ts";
import { placedObjects } from "../objects/placed-objects.ts";
import { Allowance } from "./allowance.ts";
import { bucketOf, type CallerQuota, describeLimit, type QuotaKind } from "./caller-quota.ts";
import { aboveQuotaError, quotaSpentError } from "./quota-spent.ts";
import type { Bucket } from "./token-bucket.ts";

/** How many accounts an isolate remembers. One that is forgotten loses what it had taken, and asks again. */
const MAX_ACCOUNTS = 10_000;

/** What this isolate may spend, by account and kind; the ones added last at the end. */
const allowances = new Map<string, Allowance>();

/** Refusals that were answered from memory, by group, until they are told. */
const untold = new Map<string, number>();

/**
 * Counts a call against its caller's quota, if it has one.
 * @throws ConnectError RESOURCE_EXHAUSTED with a RetryInfo if that is spent, UNAVAILABLE if it can't be known
 */
export async function chargeRequest(env: Env, caller: Caller): Promise<void> {
  await charge(env, caller, "requests_per_minute", 1);
}

/** `chargeUpload`, for one caller. */
export type ChargeBytes = (bytes: number) => ReturnType<typeof chargeUpload>;

/**
 * Counts bytes of a request's body, or those that are stored beyond it. Undefined if they are paid for, or cost nothing: for
 * most there is nothing to wait for.
 * @throws ConnectError as `chargeRequest` does, and RESOURCE_EXHAUSTED without a RetryInfo for more than the whole quota at
 * once, which no piece of a body is
 */
export function chargeUpload(env: Env, caller: Caller, bytes: number): Promise<void> | undefined {
  return charge(env, caller, "upload_bytes_per_hour", bytes);
}

function charge(env: Env, { name, quota }: Caller, kind: QuotaKind, amount: number): Promise<void> | undefined {
  const bucket = quota && bucketOf(quota, kind);
  if (quota === undefined || bucket === undefined) return undefined;
  const allowance = allowanceOf(quota, kind, bucket);
  if (allowance.trySpend(amount, Date.now())) return undefined;
  return take(env, name, quota, kind, bucket, allowance, amount);
}

async function take(
  env: Env,
  caller: string,
  quota: CallerQuota,
  kind: QuotaKind,
  bucket: Bucket,
  allowance: Allowance,
  amount: number,
): Promise<void> {
  const { account, group } = quota;
  if (amount > bucket.amount) {
    await tellRefusals(env, group);
    throw aboveQuotaError(caller, amount, describeLimit(bucket, kind));
  }
  const refusedForMs = allowance.refusedForMs(amount, Date.now());
  if (refusedForMs > 0) {
    untold.set(group, (untold.get(group) ?? 0) + 1);
    throw quotaSpentError(caller, describeLimit(bucket, kind), refusedForMs);
  }
  const retryAfterMs = await allowance.takeAndSpend(amount, Date.now, (wanted, inAdvance) =>
    callQuota(env, account, (stub) => stub.take({ kind, bucket, wanted, inAdvance })),
  );
  if (retryAfterMs === undefined) return;
  await tellRefusals(env, group);
  throw quotaSpentError(caller, describeLimit(bucket, kind), retryAfterMs);
}

/** Adds a refusal, and those that are still untold, to what metrics show. */
async function tellRefusals(env: Env, group: string): Promise<void> {
  const count = 1 + (untold.get(group) ?? 0);
  untold.delete(group);
  try {
    await callQuota(env, refusalsObject(group), (stub) => stub.countRefusals(count));
  } catch (error) {
    log.warn({ group, count, error }, "refusals for a spent quota could not be counted");
  }
}

/** How often calls of the group were refused. The latest ones may not be counted yet. */
export function refusals(env: Env, group: string): Promise<number> {
  return callQuota(env, refusalsObject(group), (stub) => stub.refusals());
}

/** Not the account's own object: that forgets everything when it is full. */
function refusalsObject(group: string): string {
  return `refusals/${group}`;
}

function callQuota<R>(env: Env, name: string, call: (stub: DurableObjectStub<Quota>) => Promise<R>): Promise<R> {
  const objects = placedObjects(env, env.QUOTA, servedConfig(env).commonPlace);
  return callObject(objects, quotaObjectName(name), call);
}

/** By a hash, since the platform keeps the names of objects, and the subjects in accounts often are people's addresses. */
function quotaObjectName(name: string): string {
  return startHash(SHA256).update(new TextEncoder().encode(name)).digest("hex");
}

function allowanceOf({ account }: CallerQuota, kind: QuotaKind, bucket: Bucket): Allowance {
  const key = `${kind}/${account}`;
  const known = allowances.get(key);
  if (known !== undefined) return known;
  const [oldest] = allowances.keys();
  if (allowances.size >= MAX_ACCOUNTS && oldest !== undefined) allowances.delete(oldest);
  const allowance = new Allowance(bucket);
  allowances.set(key, allowance);
  return allowance;
}
