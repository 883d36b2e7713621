import type { ExecutionState, ExecutionView } from "../execution-view.ts";

const WORDS: Readonly<Record<ExecutionState, string>> = {
  queued: "queued",
  running: "running",
  succeeded: "succeeded",
  failed: "failed",
  refused: "refused",
  cancelled: "cancelled",
};

/** How an execution stands: in words, with a mark whose form tells the states apart as well as its colour does. */
export function StateMark({ execution }: { readonly execution: Pick<ExecutionView, "state" | "outcome"> }) {
  const { outcome, state } = execution;
  const tells = state === "failed" || state === "refused";
  return (
    <span class={`state state-${state}`}>
      <Mark state={state} />
      {tells && outcome !== "" ? outcome : WORDS[state]}
    </span>
  );
}

function Mark({ state }: { readonly state: ExecutionState }) {
  return (
    <svg class="mark" viewBox="0 0 10 10" aria-hidden="true">
      {state === "queued" && <circle cx="5" cy="5" r="3.5" fill="none" stroke="currentColor" stroke-width="1.5" />}
      {state === "running" && <circle cx="5" cy="5" r="4" fill="currentColor" />}
      {state === "succeeded" && <path d="M1.5 5.5 4 8l4.5-6" fill="none" stroke="currentColor" stroke-width="1.8" />}
      {state === "failed" && <path d="m2 2 6 6M8 2 2 8" fill="none" stroke="currentColor" stroke-width="1.8" />}
      {state === "refused" && <path d="M5 1v5M5 7.500v1.5" fill="none" stroke="currentColor" stroke-width="1.8" />}
      {state === "cancelled" && <path d="M1.5 5h7" fill="none" stroke="currentColor" stroke-width="1.8" />}
    </svg>
  );
}
