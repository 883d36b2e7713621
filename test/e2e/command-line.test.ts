import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { ConnectProxy, proxied } from "../endpoint/connect-proxy.ts";
import { execute, clientsOver } from "./clients.ts";
import { createNativeTransport } from "./native-transport.ts";
import { prepareAction } from "./action.ts";
import { RemexProcess } from "./remex-process.ts";
import { SeparateProcesses } from "./separate-processes.ts";
import { configText } from "./service.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

it.each([
  [["start", "--worker-port", "x"], /--worker-port.*0 to 65535/],
  [["build"], /unknown command 'build'/],
  [["bridge"], /--endpoint/],
  [["bridge", "--endpoint", "remex.example.com"], /--endpoint.*https/],
  [["bridge", "--endpoint", "http://127.0.0.1:1", "--listen", "everywhere"], /--listen.*host:port/],
  [["bridge", "--endpoint", "http://127.0.0.1:1", "--tls-cert", "bridge.pem"], /--tls-cert needs --tls-key/],
  [["bridge", "--endpoint", "http://127.0.0.1:1", "--client-ca", "ca.pem"], /--client-ca need --tls-cert/],
  [["bridge", "--endpoint", "http://127.0.0.1:1", "--endpoint-ca", "/dev/null"], /--endpoint-ca is no PEM/],
  [["bridge", "--options-file", "/nowhere.json5"], /nowhere\.json5.*--options-file/],
  [["status", "--endpoint", "http://127.0.0.1:1"], /127\.0\.0\.1:1\/readyz can't be reached/],
  [["completion", "tcsh"], /'tcsh'.*bash, fish, zsh/],
  [["agent", "--endpoint", "http://127.0.0.1:1", "--property", "pool"], /"pool".*name=value/],
  [["agent", "--endpoint", "http://127.0.0.1:1", "--properties", "/nowhere.json5"], /nowhere\.json5/],
  [["agent", "--endpoint", "http://127.0.0.1:1", "--token-file", "/nowhere/token"], /nowhere\/token.*--token-file/],
  [["agent", "--endpoint", "http://127.0.0.1:1", "--token-file", "/dev/null"], /\/dev\/null does not hold a token/],
  [["agent", "--endpoint", "http://127.0.0.1:1", "--max-actions", "many"], /--max-actions.*whole number/],
  [["agent", "--endpoint", "http://127.0.0.1:1", "--work-dir", "/dev/null/work"], /\/dev\/null\/work/],
])("remex %j says in one line what to put right, and exits with 1", async (args, message) => {
  expect(await run(args).fault()).toMatch(message);
});

it("the built command runs by its own name, as a service and a container start it", async () => {
  const PATH = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
  const { stdout } = await promisify(execFile)("dist/remex.js", ["--version"], { env: { PATH } });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+/);
});

it("remex agent says that the Worker does not serve its instance", async () => {
  const processes = await separateProcesses();
  await processes.startWorker();

  const agent = run(["agent", "--endpoint", processes.endpoint, "--instance", "elsewhere", ...(await workDirectory())]);

  expect(await lastLine(agent)).toMatch(/elsewhere.*main/);
});

it("remex start asks for the tokens that its configuration knows, and gives its agent one", async () => {
  const directory = await temporaryDirectory();
  const [tokenFile, config] = [join(directory, "token"), join(directory, "remex.json5")];
  await writeFile(tokenFile, "a-token-for-the-test\n");
  const sha256 = createHash("sha256").update("a-token-for-the-test").digest("hex");
  const tokens = [{ name: "test", sha256, roles: { main: ["agent"] } }];
  await writeFile(config, JSON.stringify({ ...JSON.parse(configText()), access: { tokens } }));
  const args = ["start", "--data", join(directory, "data"), "--config", config, "--worker-port", "0", "--no-bridge"];

  const allowed = run([...args, "--token-file", tokenFile]);
  await allowed.printed(/^Agent +ready/m);
  await allowed.printed(/^Who may do what is as the configuration says/m);
  await allowed.stop();
  const refused = run(args);

  expect(await refused.fault()).toMatch(/UNAUTHENTICATED|401|token/i);
});

it("remex agent offers what flags, a file and the environment say, and runs what asks for it", async () => {
  const processes = await separateProcesses();
  await processes.startWorker();
  const directory = await temporaryDirectory();
  const properties = join(directory, "properties.json5");
  await writeFile(properties, "{ OSFamily: 'plan9', disk: ['ssd', 'hdd'] }");
  const agent = run(
    ["agent", "--endpoint", processes.endpoint, "--property", "pool=test", "--properties", properties],
    { REMEX_WORK_DIR: join(directory, "work"), REMEX_NAME: "named" },
  );
  const ready = await agent.printed(/^Agent +ready: (.*)$/m);
  const transport = createNativeTransport(await processes.startBridge());
  onTestFinished(() => {
    transport.close();
  });

  const action = prepareAction({ script: "true", properties: { OSFamily: "plan9", disk: "hdd", pool: "test" } });
  const { response } = await execute(clientsOver(transport), action);

  expect(ready).toMatch(/^named serves main with .*OSFamily=plan9 disk=ssd disk=hdd pool=test$/);
  expect(response.result?.executionMetadata?.worker).toBe("named");
});

it("remex bridge ends at SIGTERM", async () => {
  const bridge = run(["bridge", "--endpoint", "http://127.0.0.1:1", "--listen", "0"]);
  await bridge.printed(/^Bridge +ready/m);

  expect(await bridge.stop()).toBe(0);
});

it("remex doctor says whether an agent can work here", async () => {
  const processes = await separateProcesses();
  await processes.startWorker();
  // As an agent's file has it.
  const file = join(await temporaryDirectory(), "agent.json5");
  await writeFile(file, `{ "max-actions": 4, property: ["pool=a"], "control-groups": "none", "log-level": "warn" }`);
  const args = ["doctor", "--options-file", file, "--sandbox", "none", ...(await workDirectory()), "--endpoint"];

  const well = run([...args, processes.endpoint]);
  expect(await well.exited, well.output).toBe(0);
  expect(well.stdout).toMatch(/^ok +access: instance "main" takes an agent without a token$/m);
  expect(well.stdout).toMatch(/^look +control groups: off/m);
  const unknown = run([...args, processes.endpoint, "--instance", "elsewhere"]);
  expect(await unknown.exited, unknown.output).toBe(1);
  expect(unknown.stdout).toMatch(/^BAD +access: .*elsewhere/m);
});

it("every command goes through the environment's proxy, and remex doctor says what is wrong with it", async () => {
  const processes = await separateProcesses();
  await processes.startWorker();
  const proxy = await ConnectProxy.start();
  const environment = { HTTP_PROXY: proxy.url, http_proxy: "", no_proxy: "", NO_PROXY: "" };
  const endpoint = ["--endpoint", proxied(new URL(processes.endpoint)).href];

  const agent = run(
    ["agent", "--name", "far", "--sandbox", "none", ...endpoint, ...(await workDirectory())],
    environment,
  );
  await agent.printed(/^Agent +ready/m);
  const bridge = run(["bridge", ...endpoint, "--listen", "0"], environment);
  const transport = createNativeTransport(await bridge.printed(/^Bridge +ready at grpc:\/\/([^,\s]+)/m));
  onTestFinished(() => {
    transport.close();
  });
  const { response } = await execute(clientsOver(transport), prepareAction({ script: "echo far away" }));
  expect(response.result?.executionMetadata?.worker).toBe("far");
  const status = run(["status", ...endpoint, "--json"], environment);
  expect(await status.exited, status.output).toBe(0);
  expect(JSON.parse(status.stdout)).toMatchObject({ ready: true });
  const doctor = ["doctor", "--sandbox", "none", ...endpoint, ...(await workDirectory())];
  const well = run(doctor, environment);
  expect(await well.exited, well.output).toBe(0);
  expect(well.stdout).toMatch(/^ok +proxy: the proxy http:\S+ \(HTTP_PROXY\) leads to endpoint\.test:\d+$/m);

  proxy.credentials = "user:password";
  const broken = run(doctor, environment);
  expect(await broken.exited, broken.output).toBe(1);
  expect(broken.stdout).toMatch(/^BAD +proxy: .* asks for credentials \(HTTP 407\)/m);
});

it.each([
  [["bridge", "--listen", "0"], /^remex: HTTP_PROXY is no URL of a proxy, .*socks5h:\/\/$/m],
  [["agent", "--sandbox", "none"], /^remex: HTTP_PROXY is no URL of a proxy, .*socks5h:\/\/$/m],
  [["status"], /^remex: .* can't be reached \(HTTP_PROXY is no URL of a proxy, .*socks5h:\/\/\)/],
])("remex %j names the variable whose proxy it can't speak to, and says which ones it can", async (args, message) => {
  const where = args[0] === "agent" ? await workDirectory() : [];
  const environment = { HTTP_PROXY: "socks4://user:secret@127.0.0.1:1080", http_proxy: "", no_proxy: "", NO_PROXY: "" };
  const wrong = run([...args, "--endpoint", "http://remex.test", ...where], environment);
  const said = await wrong.fault();
  expect(said).toMatch(message);
  expect(said).not.toContain("secret");
});

it("remex status says how an endpoint is, to people and to programs", async () => {
  const processes = await separateProcesses();
  await processes.startWorker();
  await processes.startAgent("agent");

  const text = run(["status", "--endpoint", processes.endpoint]);
  expect(await text.exited, text.output).toBe(0);
  expect(text.stdout).toMatch(/^Remex \d+\.\d+\.\d+ at http:\S+ is ready/);
  expect(text.stdout).toMatch(/^main +0 +- +0 +1 /m);
  const json = run(["status", "--endpoint", processes.endpoint, "--json", "--instance", "main"]);
  expect(await json.exited, json.output).toBe(0);
  expect(JSON.parse(json.stdout)).toMatchObject({ ready: true, instances: [{ instance: "main", agents: 1 }] });
});

it("remex completion prints a script for the shell", async () => {
  const completion = run(["completion", "bash"]);
  expect(await completion.exited, completion.output).toBe(0);
  expect(completion.stdout).toContain("complete -o filenames -F _remex remex");
});

it("remex agent ends at SIGTERM, and has said so if it is root", async () => {
  const processes = await separateProcesses();
  await processes.startWorker();
  const agent = await processes.startAgent("agent");

  expect(await agent.stop()).toBe(0);
  expect(/the agent is root/.test(agent.stderr)).toBe(process.getuid?.() === 0);
});

function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): RemexProcess {
  const remex = new RemexProcess(args, environment);
  onTestFinished(() => remex.kill());
  return remex;
}

async function separateProcesses(): Promise<SeparateProcesses> {
  const processes = new SeparateProcesses(await temporaryDirectory());
  onTestFinished(() => processes.stop());
  return processes;
}

async function workDirectory(): Promise<string[]> {
  return ["--work-dir", join(await temporaryDirectory(), "work")];
}

/** What it says last, after what it has logged. */
async function lastLine(remex: RemexProcess): Promise<string> {
  expect(await remex.exited, remex.output).toBe(1);
  return remex.stderr.trimEnd().split("\n").at(-1) ?? "";
}
