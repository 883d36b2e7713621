import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KnownExecutionSchema } from "../../../protos/gen/remex/instance/v1/instance_pb.ts";
import { type ExecutionView, executionView } from "../../../src/dashboard/execution-view.ts";
import { criticalPath } from "../../../src/dashboard/invocation/critical-path.ts";
import { inLanes } from "../../../src/dashboard/invocation/lanes.ts";

function execution(id: string, queuedAtMs: number, endedAtMs: number): ExecutionView {
  return executionView(
    { instanceName: "main", shard: 0 },
    create(KnownExecutionSchema, {
      executionId: id,
      record: { queuedTimestamp: timestampFromMs(queuedAtMs), end: { timestamp: timestampFromMs(endedAtMs) } },
    }),
  );
}

const span = fc.tuple(fc.nat(1000), fc.nat(300)).map(([startMs, lengthMs]) => ({ startMs, endMs: startMs + lengthMs }));

describe("the critical path", () => {
  test("is the chain of those that ended last before the next was queued", () => {
    const path = criticalPath([
      execution("a", 0, 100),
      execution("short", 0, 40),
      execution("b", 110, 200),
      execution("beside", 60, 150),
      execution("last", 205, 300),
    ]);
    expect(path.map(({ execution: { known }, gapMs, tookMs }) => [known.executionId, gapMs, tookMs])).toEqual([
      ["a", 0, 100],
      ["b", 10, 90],
      ["last", 5, 95],
    ]);
  });

  test("of nothing is nothing", () => {
    expect(criticalPath([])).toEqual([]);
  });

  test("goes on without overlaps to the end of the build, however many there are", () => {
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 60 }), (spans) => {
        const path = criticalPath(spans.map(({ startMs, endMs }, index) => execution(String(index), startMs, endMs)));
        expect(path.at(-1)?.execution.endedAtMs).toBe(Math.max(...spans.map(({ endMs }) => endMs)));
        for (const { gapMs } of path) expect(gapMs).toBeGreaterThanOrEqual(0);
        const [first] = path;
        const allMs = path.reduce((sum, { gapMs, tookMs }) => sum + gapMs + tookMs, 0);
        expect((first?.execution.queuedAtMs ?? 0) + allMs).toBe(path.at(-1)?.execution.endedAtMs);
      }),
    );
  });
});

test("what is in one lane does not overlap, and no lane is there for nothing", () => {
  fc.assert(
    fc.property(fc.array(span, { maxLength: 60 }), (spans) => {
      const placed = inLanes(spans);
      for (const lane of new Set(placed.map((item) => item.lane))) {
        const inLane = placed.filter((item) => item.lane === lane).map((item) => item.span);
        inLane.slice(1).forEach((item, index) => {
          expect(item.startMs).toBeGreaterThanOrEqual(inLane[index]?.endMs ?? 0);
        });
      }
      const most = Math.max(
        0,
        ...spans.map(
          ({ startMs }) =>
            spans.filter((other) => other.startMs <= startMs && startMs < Math.max(other.endMs, other.startMs + 1))
              .length,
        ),
      );
      expect(new Set(placed.map((item) => item.lane)).size).toBeLessThanOrEqual(most);
    }),
  );
});
