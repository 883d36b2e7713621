import type { Difference } from "../difference/action-difference.ts";
import type { CacheMiss } from "../difference/cache-miss.ts";
import { Time } from "./time.tsx";

/** Why an action was executed rather than found in the cache, in a sentence and, where it has changed, by what. */
export function CacheMissText({ miss, nowMs }: { readonly miss: CacheMiss; readonly nowMs: number }) {
  switch (miss.why) {
    case "not-cacheable":
      return <p>The action says that its result must not be cached (do_not_cache).</p>;
    case "unknown-identity":
      return (
        <p>
          The client says neither which target the action is of nor what it puts out, so it can't be held against an
          earlier one.
        </p>
      );
    case "first":
      return (
        <p>
          No earlier execution of this action is known here: its target or output is new, or was last built long ago.
        </p>
      );
    case "same-action":
      return (
        <p>
          The very same action was executed <Earlier miss={miss} nowMs={nowMs} />.{" "}
          {sameActionReason(miss.earlier.state)}
        </p>
      );
    case "forgotten":
      return (
        <p>
          It is not the action that was executed <Earlier miss={miss} nowMs={nowMs} />, but what that one was made of is
          no longer in the CAS.
        </p>
      );
    case "changed":
      return (
        <>
          <p>
            {miss.differences.length === 0
              ? "The action has another digest than the one that was executed "
              : `${summary(miss.differences)} since it was executed `}
            <Earlier miss={miss} nowMs={nowMs} />.
          </p>
          {miss.differences.length > 0 && <Differences differences={miss.differences} />}
          {miss.incomplete !== undefined && <p class="quiet">There may be more: {miss.incomplete}.</p>}
        </>
      );
  }
}

interface EarlierProps {
  readonly miss: Extract<CacheMiss, { earlier: unknown }>;
  readonly nowMs: number;
}

function Earlier({ miss: { earlier }, nowMs }: EarlierProps) {
  return (
    <a href={earlier.path}>
      <Time ago atMs={earlier.queuedAtMs} nowMs={nowMs} />
    </a>
  );
}

function sameActionReason(state: string): string {
  if (state !== "succeeded") return "It did not succeed then, and only success is cached.";
  return "Its result was not in the cache any more, or one of its outputs was gone, or the client did not ask the cache.";
}

/** `2 inputs and 1 environment variable changed` */
function summary(differences: readonly Difference[]): string {
  const counts = Array.from(
    Map.groupBy(differences, ({ what }) => what),
    ([what, { length }]) => {
      const plural = what.endsWith("y") ? `${what.slice(0, -1)}ies` : `${what}s`;
      return length === 1 ? `1 ${what}` : `${length} ${plural}`;
    },
  );
  const last = counts.pop() ?? "nothing";
  return `${counts.length === 0 ? last : `${counts.join(", ")} and ${last}`} changed`;
}

function Differences({ differences }: { readonly differences: readonly Difference[] }) {
  return (
    <div class="scroll" role="group" aria-label="What changed" tabindex={0}>
      <table class="differences">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Before</th>
            <th scope="col">Now</th>
          </tr>
        </thead>
        <tbody>
          {differences.map(({ after, before, name, what }) => (
            <tr>
              <th scope="row">
                <span class="quiet">{what}</span> <span class="id">{name}</span>
              </th>
              <td class="before">{before === undefined ? <span class="quiet">none</span> : <del>{before}</del>}</td>
              <td class="after">{after === undefined ? <span class="quiet">none</span> : <ins>{after}</ins>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
