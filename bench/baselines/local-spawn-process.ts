// Spawns a command again and again, and prints how long that took as JSON.
// Usage: node local-spawn.js COMMAND OPERATIONS SLOTS
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closedLoop, type Operation } from "../load/closed-loop.ts";

const [command = "", operations = "", slots = ""] = process.argv.slice(2);

const spawnOnce: Operation = async () => {
  const child = spawn(command, [], { env: {}, stdio: "ignore" });
  await once(child, "close");
  if (child.exitCode !== 0) throw new Error(`${command} ended with ${String(child.exitCode)}`);
  return undefined;
};

const { durationMs, latenciesMs, errors } = await closedLoop(
  new Array<Operation>(Number(operations)).fill(spawnOnce),
  Number(slots),
);
for (const { example } of errors.values()) throw new Error(example);
process.stdout.write(JSON.stringify({ durationMs, latenciesMs: [...latenciesMs] }));
