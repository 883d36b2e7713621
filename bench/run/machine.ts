import { cpus, release, totalmem, type } from "node:os";
import { supportedCompatibilityDate } from "miniflare";
import type { Machine } from "./report.ts";

/** Where the bench runs, and with what. */
export function describeMachine(): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    // workerd's versions are dates.
    workerd: supportedCompatibilityDate,
  };
}
