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
  const child = run(process.execPath, ["--input-type=module", "--eval", PROGRAM]);
  const exited = once(child, "exit");
  const lines = child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false });

  expect((await lines.next()).value).toBe("ready\n");
  child.kill("SIGINT");
  expect((await lines.next()).value).toBe("aborted\n");
  child.kill("SIGTERM");

  expect(await exited).toEqual([1, null]);
});

it("aborts at Ctrl-Break, as Windows has it", async () => {
  const program = `${PROGRAM}; process.emit("SIGBREAK");`;
  const child = run(process.execPath, ["--input-type=module", "--eval", program]);
  const lines = child.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false });

  let said = "";
  for await (const text of lines) {
    said += String(text);
    if (said === "ready\naborted\n") return;
  }
  expect(said).toBe("ready\naborted\n");
});

it("aborts when the shell ends in which npm runs it", async () => {
  // The `true` keeps the shell from becoming the program, as some shells do with their last command.
  const command = `'${process.execPath}' --input-type=module --eval "$PROGRAM"; true`;
  const shell = run("/bin/sh", ["-c", command], { PROGRAM, npm_lifecycle_event: "start" });
  const lines = shell.stdout.setEncoding("utf8").iterator({ destroyOnReturn: false });

  expect((await lines.next()).value).toBe("ready\n");
  shell.kill("SIGTERM");

  expect((await lines.next()).value).toBe("aborted\n");
});

function run(command: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(command, args, {
    // A group of its own, all of which the test can end.
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, npm_lifecycle_event: undefined, ...environment },
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} could not be started`);
  onTestFinished(() => {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // All of it has ended.
    }
  });
  return child;
}
