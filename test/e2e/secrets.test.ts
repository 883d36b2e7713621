import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { onTestFinished, expect, test } from "vitest";
import { Capabilities } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { NativeClient } from "../bridge/native-client.ts";
import { RemexProcess } from "./remex-process.ts";
import { makeTemporaryDirectory, removeDirectory } from "./temporary-directory.ts";

const TOKENS = {
  executor: randomBytes(24).toString("hex"),
  agent: randomBytes(24).toString("hex"),
  viewer: randomBytes(24).toString("hex"),
  unknown: randomBytes(24).toString("hex"),
};

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

function configuration(): string {
  const token = (name: "executor" | "agent" | "viewer", role: string) => ({
    name,
    sha256: sha256(TOKENS[name]),
    roles: { main: [role] },
  });
  return JSON.stringify({
    stores: { S: {} },
    schedulers: { M: {} },
    services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "S" }] },
    access: { tokens: [token("executor", "executor"), token("agent", "agent"), token("viewer", "operator")] },
  });
}

/** A token as it is, and as Basic authentication has it. */
function formsOf(token: string): string[] {
  return [token, Buffer.from(`any:${token}`).toString("base64"), Buffer.from(token).toString("base64")];
}

test("tokens are in nothing that any part prints or answers, whether they are accepted or not", async () => {
  const directory = await makeTemporaryDirectory();
  const processes: RemexProcess[] = [];
  onTestFinished(async () => {
    await Promise.all(processes.map((process) => process.kill()));
    await removeDirectory(directory);
  });
  const start = (...args: string[]) => {
    const process = new RemexProcess([...args, "--log-level", "trace"]);
    processes.push(process);
    return process;
  };
  const file = async (name: string, text: string) => {
    await writeFile(join(directory, name), text);
    return join(directory, name);
  };

  const config = await file("remex.json5", configuration());
  const worker = start(
    "start",
    "--no-agent",
    "--no-bridge",
    "--data",
    join(directory, "data"),
    "--config",
    config,
    "--worker-port",
    "0",
  );
  const endpoint = await worker.printed(/^Worker +ready at (http:\/\/[^/,\s]+)/m);
  const agentWith = async (token: keyof typeof TOKENS) => {
    const tokenFile = await file(`${token}-token`, TOKENS[token]);
    return start(
      "agent",
      "--endpoint",
      endpoint,
      "--work-dir",
      join(directory, token),
      "--sandbox",
      "none",
      "--token-file",
      tokenFile,
    );
  };
  await (await agentWith("agent")).printed(/^Agent +ready/m);
  await (
    await agentWith("unknown")
  ).exited;
  await (
    await agentWith("viewer")
  ).exited;
  const executorFile = await file("executor-token", TOKENS.executor);
  const bridge = start("bridge", "--endpoint", endpoint, "--listen", "0", "--token-file", executorFile);
  const address = await bridge.printed(/^Bridge +ready at grpc:\/\/([^,\s]+)/m);

  const answers: string[] = [];
  const client = new NativeClient(address);
  for (const token of Object.values(TOKENS)) {
    const metadata = { authorization: `Bearer ${token}` };
    answers.push(
      inspect(await client.unary(Capabilities.method.getCapabilities, { instanceName: "main" }, { metadata })),
    );
    const paths = ["/metrics", "/", "/ui/main", `/main/cas/${"0".repeat(64)}`, "/nowhere"];
    const [, basic = ""] = formsOf(token);
    const credentials = [
      { authorization: `Bearer ${token}` },
      { authorization: `Basic ${basic}` },
      { cookie: `remex_token=${token}` },
    ];
    for (const path of paths) {
      for (const headers of credentials) {
        const response = await fetch(endpoint + path, { headers: { ...headers, connection: "close" } });
        answers.push(JSON.stringify([...response.headers]), await response.text());
      }
    }
    const form = {
      method: "POST",
      body: new URLSearchParams({ token, next: "/" }),
      headers: { origin: endpoint, connection: "close" },
    };
    const loggedIn = await fetch(`${endpoint}/login`, { ...form, redirect: "manual" });
    answers.push(await loggedIn.text());
  }
  expect(answers.length).toBeGreaterThan(100);

  for (const token of Object.values(TOKENS)) {
    for (const form of formsOf(token)) {
      for (const { output } of processes) expect(output.includes(form), `a process printed ${form}`).toBe(false);
      for (const answer of answers) expect(answer.includes(form), `an answer has ${form}: ${answer}`).toBe(false);
    }
  }
});
