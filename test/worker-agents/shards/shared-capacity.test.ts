import fc from "fast-check";
import { expect, test } from "vitest";
import { SharedCapacity } from "../../../worker-agents/shards/shared-capacity.ts";

const cpus = (count: number | string) => [{ name: "cpu_count", value: String(count) }];

test("a shard sees the agent less what the others use", () => {
  const capacity = new SharedCapacity(4, [...cpus(8), { name: "OSFamily", value: "linux" }]);
  expect(capacity.admit("a", 0, cpus(3))).toBe(true);
  expect(capacity.admit("b", 1, cpus(1))).toBe(true);
  expect(capacity.grant(0)).toEqual({ maxActions: 3, minimums: cpus(7) });
  expect(capacity.grant(1)).toEqual({ maxActions: 3, minimums: cpus(5) });
  expect(capacity.grant(2)).toEqual({ maxActions: 2, minimums: cpus(4) });
  capacity.release("a");
  expect(capacity.grant(2)).toEqual({ maxActions: 3, minimums: cpus(7) });
});

test("without a limit on actions the properties alone decide", () => {
  const capacity = new SharedCapacity(0, cpus(1));
  expect(capacity.admit("a", 0, [])).toBe(true);
  expect(capacity.admit("b", 1, cpus("0.5"))).toBe(true);
  expect(capacity.admit("c", 2, cpus("0.6"))).toBe(false);
  expect(capacity.grant(0)).toEqual({ maxActions: -1, minimums: cpus("0.5") });
});

test("only what actions use up is counted: a version is a number, too", () => {
  const offered = [...cpus(8), { name: "ubuntu", value: "22.04" }];
  const asked = [...cpus(1), { name: "ubuntu", value: "22.04" }];
  const capacity = new SharedCapacity(8, offered);
  capacity.useUp(["cpu_count", "gpus"]);
  for (let lease = 0; lease < 8; lease++) expect(capacity.admit(String(lease), 0, asked)).toBe(true);
  expect(capacity.grant(1)).toEqual({ maxActions: 0, minimums: cpus(0) });
  // A later configuration may have it otherwise.
  capacity.useUp(["ubuntu"]);
  expect(capacity.grant(1).minimums.map(({ name }) => name)).toEqual(["ubuntu"]);
});

test("beside nothing there is room for whatever is asked", () => {
  const capacity = new SharedCapacity(1, cpus(2));
  expect(capacity.admit("a", 0, cpus(3))).toBe(true);
  expect(capacity.admit("b", 0, [])).toBe(false);
});

test("whatever shards ask for at once, the agent is never used beyond what it has", () => {
  const step = fc.record({
    shard: fc.nat(3),
    lease: fc.nat(9),
    ends: fc.boolean(),
    asked: fc.integer({ min: 0, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const capacity = new SharedCapacity(3, cpus(6));
      const running = new Map<string, number>();
      for (const { asked, ends, lease, shard } of steps) {
        const id = `${shard}/${lease}`;
        if (ends) {
          capacity.release(id);
          running.delete(id);
        } else if (!running.has(id) && capacity.admit(id, shard, cpus(asked))) {
          running.set(id, asked);
        }
        const used = [...running.values()].reduce((sum, count) => sum + count, 0);
        expect(running.size).toBeLessThanOrEqual(3);
        expect(used).toBeLessThanOrEqual(6);
        // A shard without leases of its own sees just what is free.
        expect(capacity.grant(99)).toEqual({ maxActions: 3 - running.size, minimums: cpus(6 - used) });
      }
    }),
  );
});
