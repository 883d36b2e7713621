/**
 * What to say of an agent that runs as this user; undefined where that is all right.
 * @param userId undefined where there are none
 */
export function rootWarning(userId: number | undefined): string | undefined {
  if (userId !== 0) return undefined;
  return (
    "the agent is root, and so are its actions without a sandbox; in one they may read what root may below " +
    "--sandbox-path: run the agent as a user of its own"
  );
}
