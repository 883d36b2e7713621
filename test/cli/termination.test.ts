import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";

const MODULE = fileURLToPath(new URL("../../cli/termination.ts", import.meta.url));

/** Says "ready", then "aborted" at the first signal, and never ends by itself. */
const PROGRAM = `
  const { terminationSignal } = await import(${JSON.stringify(MODULE)});
  terminationSignal().addEventListener("abort", () => console.log("aborted"));
  setInterval(() => {}, 1000);
  console.log("ready");
`;

it("aborts at the first signal and ends the process at the second", async () => {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const exited = once(child, "exit");
  const lines = child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false });

  expect((await lines.next()).value).toBe("ready\n");
  child.kill("SIGINT");
  expect((await lines.next()).value).toBe("aborted\n");
  child.kill("SIGTERM");

  expect(await exited).toEqual([1, null]);
});
