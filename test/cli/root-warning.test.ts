import { expect, it } from "vitest";
import { rootWarning } from "../../cli/root-warning.ts";

it("an agent that is root is warned of", () => {
  expect(rootWarning(0)).toMatch(/the agent is root.*run the agent as a user of its own/);
  for (const userId of [1000, undefined]) expect(rootWarning(userId)).toBeUndefined();
});
