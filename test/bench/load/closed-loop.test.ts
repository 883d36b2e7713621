import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { closedLoop, codeName, type Operation, WrongAnswer } from "../../../bench/load/closed-loop.ts";
import { summarize } from "../../../bench/load/summary.ts";

/** Ends when its turn has come, in turns of the event loop. */
function operation(turns: number, onEnd: () => void = () => undefined): Operation {
  return async () => {
    for (let i = 0; i < turns; i++) await new Promise(setImmediate);
    onEnd();
    return undefined;
  };
}

const failing =
  (error: Error): Operation =>
  () =>
    Promise.reject(error);

describe("closedLoop", () => {
  it("keeps as many operations under way as it is told, and no more", async () => {
    let underWay = 0;
    const seen: number[] = [];
    const counted: Operation = async () => {
      seen.push(++underWay);
      await new Promise(setImmediate);
      underWay--;
      return undefined;
    };

    await closedLoop(new Array<Operation>(20).fill(counted), 4);

    expect(seen).toHaveLength(20);
    expect(Math.max(...seen)).toBe(4);
    // Only the first ones start with fewer.
    expect(seen.slice(4).every((count) => count >= 1)).toBe(true);
    expect(underWay).toBe(0);
  });

  it("says in which order operations ended", async () => {
    const { order, latenciesMs } = await closedLoop([operation(9), operation(1), operation(5)], 3);

    expect(order).toEqual([1, 2, 0]);
    expect(latenciesMs).toHaveLength(3);
  });

  it("counts errors by code and goes on", async () => {
    const { errors, latenciesMs, order } = await closedLoop(
      [
        failing(new ConnectError("no place", Code.ResourceExhausted)),
        operation(1),
        failing(new ConnectError("no place again", Code.ResourceExhausted)),
        failing(new ConnectError("gone", Code.NotFound)),
      ],
      1,
    );

    expect(Object.fromEntries(errors)).toEqual({
      RESOURCE_EXHAUSTED: { count: 2, example: "[resource_exhausted] no place" },
      NOT_FOUND: { count: 1, example: "[not_found] gone" },
    });
    expect(latenciesMs).toHaveLength(1);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  it("counts an answer that is not the truth as an error", async () => {
    const lying: Operation = () =>
      Promise.resolve(() => {
        throw new WrongAnswer("5 missing, 6 expected");
      });

    const { errors, latenciesMs } = await closedLoop([lying], 1);

    expect(errors.get("wrong answer")).toEqual({ count: 1, example: "5 missing, 6 expected" });
    expect(latenciesMs).toHaveLength(0);
  });
});

describe("summarize", () => {
  it("takes the median run's rate, and the latencies of all runs", () => {
    const run = (durationMs: number, ...latencies: number[]) => ({
      durationMs,
      latenciesMs: Float64Array.from(latencies),
      order: [...latencies.keys()],
      errors: new Map([["UNAVAILABLE", { count: 1, example: "busy" }]]),
    });

    const summary = summarize([run(1000, 1, 2, 3), run(500, 9, 7, 8), run(2000, 4, 5, 6)]);

    expect(summary).toMatchObject({
      runs: 3,
      succeeded: 9,
      operationsPerSecond: { median: 3, min: 1.5, max: 6 },
      latencyMs: { p50: 5, max: 9 },
      errors: { UNAVAILABLE: { count: 3, example: "busy" } },
    });
  });
});

describe("codeName", () => {
  it("is gRPC's", () => {
    expect([Code.FailedPrecondition, Code.Canceled, Code.DeadlineExceeded].map(codeName)).toEqual([
      "FAILED_PRECONDITION",
      "CANCELED",
      "DEADLINE_EXCEEDED",
    ]);
  });
});
