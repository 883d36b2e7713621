import { expect, it } from "vitest";
import { whyNodeIsTooOld } from "../../cli/node-version.ts";

it.each(["18.20.8", "20.20.2", "22.14.9"])("Node %s is too old, and it says so", (version) => {
  const reason = whyNodeIsTooOld(version);

  expect(reason).toContain("22.15");
  expect(reason).toContain(version);
});

it.each(["22.15.0", "22.20.1", "23.0.0", "24.21.0"])("Node %s will do", (version) => {
  expect(whyNodeIsTooOld(version)).toBeUndefined();
});
