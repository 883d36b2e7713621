import type { ActionSpec } from "../leases.ts";
import { toolFile } from "../input-tree.ts";

/** Where the generated code and the library are that the tool in the proto protocol needs. */
const WORKER_PROTOCOL = new URL("../../../protos/gen/blaze/worker/worker_protocol_pb.ts", import.meta.url).href;
const WIRE = import.meta.resolve("@bufbuild/protobuf/wire");
const PROTOBUF = import.meta.resolve("@bufbuild/protobuf");

/**
 * A tool that can be a persistent worker. Its arguments are one order and that order's own. It says by which process the
 * order was done, and how many that process had done before.
 */
const TOOL = `
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
let done = 0;
const report = (text) => "pid " + process.pid + " done " + done++ + ": " + text;
const listing = () => readdirSync(".", { recursive: true }).sort().join(" ");
async function carryOut([order, ...rest], inputs, asWorker) {
  switch (order) {
    case "copy": writeFileSync(rest[1], readFileSync(rest[0])); return { exitCode: 0, output: report("copied") };
    case "list": return { exitCode: 0, output: report(listing()) };
    case "inputs": return { exitCode: 0, output: report(inputs.map(({ path }) => path).sort().join(" ")) };
    case "arguments": return { exitCode: 0, output: report(JSON.stringify(rest)) };
    case "fail": return { exitCode: 3, output: report("failed") };
    case "litter": writeFileSync("litter", "x"); rmSync("tool/data", { force: true }); return { exitCode: 0, output: report("") };
    case "crash": if (asWorker) { console.error("out of luck"); process.exit(7); } return { exitCode: Number(rest[0] ?? 0), output: report("") };
    case "garbage": if (asWorker) { process.stdout.write("\\xff\\xff\\xff\\xff\\xff oh\\n"); return; } return { exitCode: 0, output: report("") };
    case "hang": if (asWorker) { appendFileSync(rest[0], "" + process.pid + "\\n"); return; } return { exitCode: 0, output: report("") };
  }
}
const startup = process.argv.slice(2);
if (!startup.includes("--persistent_worker")) {
  const lines = startup.filter((each) => each.startsWith("@")).flatMap((each) => readFileSync(each.slice(1), "utf8").split("\\n"));
  const { exitCode, output } = await carryOut(lines.filter(Boolean), [], false);
  console.error("alone " + output);
  process.exit(exitCode);
}
if (startup.includes("--dies")) process.exit(9);
async function answer(request, send) {
  if (request.cancel) { send({ wasCancelled: true }); return; }
  const response = await carryOut(request.arguments ?? [], request.inputs ?? [], true);
  if (response !== undefined) send(response);
}
if (startup.includes("--json")) {
  const { createInterface } = await import("node:readline");
  for await (const line of createInterface({ input: process.stdin })) {
    await answer(JSON.parse(line), (response) => console.log(JSON.stringify(response)));
  }
} else {
  const { create } = await import(${JSON.stringify(PROTOBUF)});
  const { sizeDelimitedDecodeStream, sizeDelimitedEncode } = await import(${JSON.stringify(WIRE)});
  const { WorkRequestSchema, WorkResponseSchema } = await import(${JSON.stringify(WORKER_PROTOCOL)});
  for await (const request of sizeDelimitedDecodeStream(WorkRequestSchema, process.stdin)) {
    await answer(request, (response) => {
      process.stdout.write(sizeDelimitedEncode(WorkResponseSchema, create(WorkResponseSchema, response)));
    });
  }
}
`;

export interface WorkOptions {
  readonly protocol?: "proto" | "json";
  readonly startup?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, string>>;
  readonly outputPaths?: readonly string[];
  readonly workingDirectory?: string;
  readonly timeoutMs?: number;
}

/** An action that Bazel would send for work that a persistent worker can do. */
export function work(order: readonly string[], options: WorkOptions = {}): ActionSpec {
  const {
    protocol = "json",
    startup = [],
    properties = {},
    inputs = {},
    outputPaths = [],
    workingDirectory = "",
  } = options;
  const platform = {
    persistentWorkerKey: "tool",
    ...(protocol === "json" && { "requires-worker-protocol": "json" }),
    ...properties,
  };
  const inWorkingDirectory = (path: string): string => (workingDirectory === "" ? path : `${workingDirectory}/${path}`);
  return {
    inputs: {
      [inWorkingDirectory("tool/tool.mjs")]: toolFile(TOOL),
      [inWorkingDirectory("tool/data")]: toolFile("data"),
      [inWorkingDirectory("order")]: order.map((each) => `${each}\n`).join(""),
      ...inputs,
    },
    command: {
      arguments: [process.execPath, "tool/tool.mjs", ...(protocol === "json" ? ["--json"] : []), ...startup, "@order"],
      outputPaths: [...outputPaths],
      workingDirectory,
      platform: { properties: Object.entries(platform).map(([name, value]) => ({ name, value })) },
    },
    ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
  };
}

/** By which process an order was done, and how many that had done before it; what it said. */
export function said(stderr: string): {
  readonly pid: number;
  readonly done: number;
  readonly alone: boolean;
  readonly text: string;
} {
  const [, alone = "", pid, done, text = ""] = /^(alone )?pid (\d+) done (\d+): (.*)$/m.exec(stderr) ?? [];
  return { pid: Number(pid), done: Number(done), alone: alone !== "", text };
}
