import { expect, it } from "vitest";
import { withAdditional } from "../../worker-agents/leases/command-environment.ts";

it("has what the machine adds, unless it is declared, on Windows in whatever case", () => {
  const [declared, additional] = [{ Path: "declared" }, { PATH: "machine's", OTHER: "added" }];
  expect(withAdditional(declared, additional, "win32")).toEqual({ Path: "declared", OTHER: "added" });
  expect(withAdditional(declared, additional, "linux")).toEqual({ ...declared, ...additional });
  expect(withAdditional({ PATH: "declared" }, additional, "linux")).toEqual({ PATH: "declared", OTHER: "added" });
});
