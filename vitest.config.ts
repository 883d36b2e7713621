import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** What is waited for comes soon, but not on a machine that is busy: only what never comes is a failure. */
const expectation = { poll: { timeout: 20_000 } };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**"],
          // They wait for processes that they start more than they compute.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          expect: expectation,
          testTimeout: 30_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: "test/e2e/build-once.ts",
          // Each file starts whole services and compilers: one at a time, after the unit tests.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          expect: expectation,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
