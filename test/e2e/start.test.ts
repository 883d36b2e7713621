import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { blobOf, prepareAction } from "./action.ts";
import { clientsOver, execute, INSTANCE, upload } from "./clients.ts";
import { Gate } from "./gate.ts";
import { createNativeTransport } from "./native-transport.ts";
import { RemexProcess } from "./remex-process.ts";
import { configText } from "./service.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const ANY_PORTS = ["--worker-port", "0", "--bridge-port", "0"];

describe("remex start", () => {
  it("says when each part is ready, who may call it, and how to build", async () => {
    const remex = start(["--data", await temporaryDirectory()]);

    await remex.printed(/^Stop with Ctrl-C/m);

    const port = await remex.printed(/^Bridge +ready at grpc:\/\/localhost:(\d+)$/m);
    expect(remex.stdout).toMatch(/^Worker +ready at http:\/\/127\.0\.0\.1:\d+, data in \S+$/m);
    expect(remex.stdout).toMatch(/^Agent +ready: .*OSFamily=/m);
    expect(remex.stdout).toContain("Access is anonymous");
    expect(remex.stdout).toContain(
      `  bazel build --remote_executor=grpc://localhost:${port} --remote_instance_name=main //...\n`,
    );
    expect(remex.stderr).toBe("");
  });

  it("ends at Ctrl-C with no process left, in the middle of an action too", async () => {
    const directory = await temporaryDirectory();
    const gate = new Gate(directory);
    const remex = start(["--data", join(directory, "data")]);
    const executed = withClients(remex, (clients) => execute(clients, prepareAction({ script: gate.script })));
    // It ends with whatever the end of the service makes of it.
    executed.catch(() => undefined);
    await gate.reached();
    const actions = await gate.arrivals();
    expect(await processesOfGroup(remex.pid)).not.toHaveLength(0);

    // As a terminal does it: to all processes of the group.
    process.kill(-remex.pid, "SIGINT");

    expect(await remex.exited, remex.output).toBe(0);
    expect(await processesOfGroup(remex.pid)).toEqual([]);
    expect(actions.filter(isAlive)).toEqual([]);
  });

  it("keeps what is stored", async () => {
    const data = await temporaryDirectory();
    const blob = blobOf("kept over a restart");
    const first = start(["--data", data, "--no-agent"]);
    await withClients(first, (clients) => upload(clients, [blob]));
    await first.stop();

    const { missingBlobDigests } = await withClients(start(["--data", data, "--no-agent"]), ({ cas }) =>
      cas.findMissingBlobs({ instanceName: INSTANCE, blobDigests: [blob.digest] }),
    );

    expect(missingBlobDigests).toEqual([]);
  });

  it("takes workerd with it when it is killed, so that the next one has the data directory to itself", async () => {
    const data = await temporaryDirectory();
    const remex = start(["--data", data, "--no-agent", "--no-bridge"]);
    const port = await remex.printed(/^Worker +ready at http:\/\/127\.0\.0\.1:(\d+)/m);
    const workerds = (await processesOfGroup(remex.pid)).filter((pid) => pid !== remex.pid);
    expect(workerds).not.toHaveLength(0);

    process.kill(remex.pid, "SIGKILL");
    await expect.poll(() => workerds.filter(isAlive), { timeout: 10_000 }).toEqual([]);

    await start(["--data", data, "--no-agent", "--no-bridge", "--worker-port", port]).printed(/^Stop with Ctrl-C/m);
  });

  it("starts workerd again when it dies", async () => {
    const remex = start(["--data", await temporaryDirectory(), "--no-agent", "--no-bridge"]);
    const url = await remex.printed(/^Worker +ready at (\S+?),/m);
    const [workerd] = (await processesOfGroup(remex.pid)).filter((pid) => pid !== remex.pid);

    process.kill(workerd ?? 0, "SIGKILL");
    await remex.logged(/workerd died and was started again/);

    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});

describe("remex start says in one line what to put right, and exits with 1, for", () => {
  it.each(["--worker-port", "--bridge-port"])("a port in use (%s)", async (flag) => {
    const port = await occupiedPort();
    const remex = start(["--data", await temporaryDirectory(), "--no-agent", flag, String(port)]);

    expect(await remex.fault()).toMatch(new RegExp(`${port}.* in use.*${flag}`));
  });

  it("a data directory that can't be made", async () => {
    const file = join(await temporaryDirectory(), "file");
    await writeFile(file, "");

    expect(await start(["--data", join(file, "data")]).fault()).toMatch(/cannot make the data directory .*--data/);
  });

  it.runIf(process.platform === "linux")("a data directory where none can be made", async () => {
    expect(await start(["--data", "/proc/remex"]).fault()).toMatch(/cannot make the data directory .*--data/);
  });

  it("a data directory that another one uses", async () => {
    const data = await temporaryDirectory();
    await start(["--data", data, "--no-agent"]).printed(/^Stop with Ctrl-C/m);

    expect(await start(["--data", data]).fault()).toMatch(/in use by another remex start.*--data/);
  });

  it("a configuration that isn't valid", async () => {
    const config = join(await temporaryDirectory(), "remex.json5");
    await writeFile(config, configText({ worker_timeout_s: "30" }));

    expect(await start(["--config", config]).fault()).toMatch(
      /remex\.json5 is not valid: schedulers\.SCHEDULER\.worker_timeout_s: .*"30"/,
    );
  });

  it("a configuration that isn't there", async () => {
    expect(await start(["--config", "/nowhere/remex.json5"]).fault()).toMatch(/cannot read .*nowhere.*--config/);
  });

  it("an instance that isn't configured", async () => {
    expect(await start(["--instance", "elsewhere"]).fault()).toMatch(/no instance "elsewhere"; it has: main/);
  });
});

/** `remex start` on free ports (unless `args` say otherwise), killed when the test ends. */
function start(args: readonly string[]): RemexProcess {
  const remex = new RemexProcess(["start", ...ANY_PORTS, ...args]);
  onTestFinished(() => remex.kill());
  return remex;
}

async function withClients<T>(
  remex: RemexProcess,
  use: (clients: ReturnType<typeof clientsOver>) => Promise<T>,
): Promise<T> {
  const transport = createNativeTransport(await remex.printed(/^Bridge +ready at grpc:\/\/(\S+)/m));
  try {
    return await use(clientsOver(transport));
  } finally {
    transport.close();
  }
}

/** A port that something listens on until the test ends. */
async function occupiedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function processesOfGroup(group: number): Promise<number[]> {
  // It exits with 1 when there is none.
  const { stdout } = await promisify(execFile)("pgrep", ["-g", String(group)]).catch(() => ({ stdout: "" }));
  return stdout.split("\n").filter(Boolean).map(Number);
}
