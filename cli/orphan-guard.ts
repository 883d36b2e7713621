import { ChildProcess, fork } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";
import { OUTLIVING_OPTIONS } from "../worker-agents/runner/process-group.ts";

/** Where Node.js tells of each process that it starts. */
const CHANNEL = "child_process";

/**
 * Sees to it that no process of a program outlives this one, even if this one is killed: a workerd that is left over goes on
 * writing to its data directory, which by then may be another's. Whoever starts the program need not know.
 * @param program the name of its file, without an extension
 * @returns ends the guard; processes that run are guarded no more
 */
export function guardAgainstOrphans(program: string): () => void {
  // The sibling of this module, in the source as in the build.
  const script = new URL(`./orphan-guard-process${extname(import.meta.url)}`, import.meta.url);
  const guard = fork(fileURLToPath(script), [], { ...OUTLIVING_OPTIONS, execArgv: [], env: {}, stdio: "ignore" });
  guard.unref();
  guard.channel?.unref();
  const tell = (message: { readonly guard: number } | { readonly forget: number }): void => {
    // Without the guard, that is how it was before there was one.
    if (guard.connected) guard.send(message, () => undefined);
  };
  const onNew = (message: unknown): void => {
    if (typeof message !== "object" || message === null || !("process" in message)) return;
    const child = message.process;
    if (!(child instanceof ChildProcess)) return;
    child.once("spawn", () => {
      const { pid, spawnfile } = child;
      if (pid === undefined || basename(spawnfile, ".exe") !== program) return;
      tell({ guard: pid });
      child.once("exit", () => {
        tell({ forget: pid });
      });
    });
  };
  guard.on("error", () => undefined);
  subscribe(CHANNEL, onNew);
  return () => {
    unsubscribe(CHANNEL, onNew);
    if (guard.connected) guard.disconnect();
  };
}
