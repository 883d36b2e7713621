// What is said of a command that the kernel killed for want of memory.

/** Whose memory came to an end: the command's, by its own limit, or that of the machine (or of the agent's service). */
export type MemoryShortage = "command" | "machine";

/** How the machine failed a command that had not used what its action asks for. */
export const NO_MEMORY_LEFT =
  "the machine had no memory left: the kernel killed the command, though it had not used all that its action asks for by " +
  "the platform property memory_kb";

/** For the command's stderr. @param memoryBytes what the command was bound to; undefined if to nothing */
export function memoryNotice(memoryBytes: number | undefined): string {
  if (memoryBytes === undefined) {
    return (
      "killed: the machine had no memory left. Its action asks for none by the platform property memory_kb, and so shares " +
      "what others leave: ask for what it needs"
    );
  }
  const kib = memoryBytes / 1024;
  return (
    `killed: it wanted more memory than the ${kib} KiB that its action asks for by the platform property memory_kb: ` +
    `ask for more, as with exec_properties = {"memory_kb": "${2 * kib}"}`
  );
}
