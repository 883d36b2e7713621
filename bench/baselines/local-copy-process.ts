// Copies an action's inputs, runs its command beside them and removes it all, again and again; prints how long that took
// as JSON. Usage: node local-copy.js DIRECTORY JSON, where the JSON is a LocalCopy.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { closedLoop, type Operation } from "../load/closed-loop.ts";
import { localCopySchema } from "./local-copy.ts";

const [directory = "", text = ""] = process.argv.slice(2);
const { action, operations, slots } = localCopySchema.parse(JSON.parse(text));

const source = join(directory, "source");
await mkdir(source, { recursive: true });
const names = Array.from({ length: action.inputs }, (_, n) => `input-${n}`);
for (const name of names) await writeFile(join(source, name), randomBytes(action.inputBytes));

let runs = 0;
const copyAndRun: Operation = async () => {
  const root = join(directory, String(runs++));
  await mkdir(join(root, "in"), { recursive: true });
  for (const name of names) await copyFile(join(source, name), join(root, "in", name));
  const [program = "", ...args] = action.arguments;
  const child = spawn(program, args, { cwd: root, env: { PATH: "/usr/bin:/bin" }, stdio: "ignore" });
  await once(child, "close");
  if (child.exitCode !== 0) throw new Error(`${program} ended with ${String(child.exitCode)}`);
  await rm(root, { recursive: true });
  return undefined;
};

const { durationMs, latenciesMs, errors } = await closedLoop(new Array<Operation>(operations).fill(copyAndRun), slots);
await rm(directory, { recursive: true });
for (const { example } of errors.values()) throw new Error(example);
process.stdout.write(JSON.stringify({ durationMs, latenciesMs: [...latenciesMs] }));
