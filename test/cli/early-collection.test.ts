import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

/** How often a process collects its whole heap while it makes and drops a GiB of buffers, as reading sockets does. */
function fullCollections(prelude: string): number {
  const script = `
    import { constants, PerformanceObserver } from "node:perf_hooks";
    import { setImmediate as turn } from "node:timers/promises";
    ${prelude}
    let full = 0;
    const count = (entries) => {
      full += entries.filter(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
    };
    const observer = new PerformanceObserver((list) => count(list.getEntries()));
    observer.observe({ entryTypes: ["gc"] });
    let inUse = [];
    for (let i = 0; i < 2 ** 14; i++) {
      inUse.push(Buffer.allocUnsafeSlow(2 ** 16));
      if (inUse.length > 16) inUse = [];
      if (i % 100 === 0) await turn();
    }
    count(observer.takeRecords());
    console.log(full);
  `;
  // Else V8 lets threads of its own free what is collected, and on a busy machine they come too late to be counted on.
  const options = ["--single-threaded-gc", "--input-type=module", "-e", script];
  return Number(execFileSync(process.execPath, options, { encoding: "utf8" }));
}

const EARLY = `
  import { collectBuffersEarly } from ${JSON.stringify(new URL("../../cli/early-collection.ts", import.meta.url))};
  collectBuffersEarly();
`;

test.runIf(Number.parseInt(process.versions.v8) >= 13)("buffers that were dropped cost no collection of all", () => {
  expect(fullCollections("")).toBeGreaterThan(4);
  expect(fullCollections(EARLY)).toBeLessThan(3);
});
