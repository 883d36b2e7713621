/**
 * What a caller may do on an instance:
 * - `cache-reader` reads blobs and action results;
 * - `cache-writer` reads and writes both;
 * - `executor` reads both, writes blobs, executes actions, and sees and cancels operations, which are the instance's and not
 *   one client's: identical actions are merged; the results of its actions are cached by the system, not by itself;
 * - `agent` connects as a build machine, reads and writes blobs, and nothing else;
 * - `operator` sees and cancels operations, sees metrics and agents, and drains them.
 */
export const ROLES = ["cache-reader", "cache-writer", "executor", "agent", "operator"] as const;

export type Role = (typeof ROLES)[number];

/** What a call does, each a right that some roles have. */
export type Right =
  | "ask-capabilities"
  | "read-blobs"
  | "write-blobs"
  | "read-action-results"
  | "write-action-results"
  | "execute"
  | "see-operations"
  | "be-agent"
  | "operate";

const RIGHTS: Readonly<Record<Role, readonly Right[]>> = {
  "cache-reader": ["ask-capabilities", "read-blobs", "read-action-results"],
  "cache-writer": ["ask-capabilities", "read-blobs", "write-blobs", "read-action-results", "write-action-results"],
  executor: ["ask-capabilities", "read-blobs", "write-blobs", "read-action-results", "execute", "see-operations"],
  agent: ["ask-capabilities", "read-blobs", "write-blobs", "be-agent"],
  operator: ["ask-capabilities", "see-operations", "operate"],
};

/** Whether any of the roles has the right. */
export function allows(roles: readonly Role[], right: Right): boolean {
  return roles.some((role) => RIGHTS[role].includes(right));
}

/** The roles that have the right, for messages. */
export function rolesWith(right: Right): Role[] {
  return ROLES.filter((role) => RIGHTS[role].includes(right));
}
