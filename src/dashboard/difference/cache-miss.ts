import { isKnownIdentity, identityOf } from "../../../durable-objects/instance/action-identity.ts";
import type { Env } from "../../env.ts";
import type { ServedInstance } from "../../served-instance.ts";
import { actionDigestOf, type ExecutionView } from "../execution-view.ts";
import { lastExecutionOf } from "../known-executions.ts";
import { readStoredAction, type StoredAction } from "../stored-action.ts";
import { actionDifferences, type Difference } from "./action-difference.ts";
import { treeDifferences } from "./tree-difference.ts";

/** Why an action was executed rather than found in the cache. */
export type CacheMiss =
  /** It says itself that it must not be cached. */
  | { readonly why: "not-cacheable" }
  /** The client sends nothing by which an earlier execution of the same action could be found. */
  | { readonly why: "unknown-identity" }
  /** Nothing like it has been executed here, as far back as is remembered. */
  | { readonly why: "first" }
  /** The very same action was executed before: its result was none to be cached, or is gone, or was not asked for. */
  | { readonly why: "same-action"; readonly earlier: ExecutionView }
  /** What the earlier one was is not stored any more. */
  | { readonly why: "forgotten"; readonly earlier: ExecutionView }
  /** It differs from the earlier one. */
  | {
      readonly why: "changed";
      readonly earlier: ExecutionView;
      readonly differences: readonly Difference[];
      readonly incomplete: string | undefined;
    };

export async function cacheMiss(
  env: Env,
  instance: ServedInstance,
  execution: ExecutionView,
  stored: StoredAction | undefined,
): Promise<CacheMiss> {
  const { request } = execution.known;
  if (request?.doNotCache === true) return { why: "not-cacheable" };
  const identity = identityOf(request);
  if (!isKnownIdentity(identity)) return { why: "unknown-identity" };
  const earlier = await lastExecutionOf(env, instance.config, identity, execution.queuedAtMs);
  if (earlier === undefined) return { why: "first" };
  const earlierDigest = actionDigestOf(earlier.known);
  if (earlierDigest.hash === request?.actionDigest?.hash) return { why: "same-action", earlier };

  const before = await readStoredAction(instance.blobs, earlierDigest);
  if (before === undefined || stored === undefined) return { why: "forgotten", earlier };
  const trees = await treeDifferences(instance.blobs, before.inputRootDigest, stored.inputRootDigest);
  const differences = [...actionDifferences(before, stored), ...trees.differences];
  return { why: "changed", earlier, differences, incomplete: trees.incomplete };
}
