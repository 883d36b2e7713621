// A process that ends others when the one that forked it is gone, however it went: see orphan-guard.ts.

const guarded = new Set<number>();

process.on("message", (message: unknown) => {
  if (typeof message !== "object" || message === null) return;
  if ("guard" in message && typeof message.guard === "number") guarded.add(message.guard);
  if ("forget" in message && typeof message.forget === "number") guarded.delete(message.forget);
});

process.on("disconnect", () => {
  for (const pid of guarded) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has gone by itself.
    }
  }
  process.exit();
});

// A terminal's Ctrl-C is for the process that it guards against losing.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
