import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ServerCredentials } from "@grpc/grpc-js";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { bundleBench, runBench } from "./bench-process.ts";
import { startForeignServer } from "./foreign-server.ts";

const TINY = ["--scale", "tiny", "--runs", "1", "--no-baselines"];

beforeAll(bundleBench);

describe("the bench on another server", () => {
  it("runs what it can and says why it skips the rest", async () => {
    const address = await startForeignServer();

    const { exitCode, stdout } = await runBench(
      ...["--target", `grpc://${address}`, "--instance", "theirs", ...TINY],
      ...["capabilities", "batch-update-16x64KiB", "batch-read-16x64KiB", "ac-hit", "execute-noop"],
    );

    expect(stdout).toMatch(/^capabilities +16 +4 /m);
    // Nobody counts what it costs there, or where its CPU time goes.
    expect(stdout).not.toContain("The bill");
    expect(stdout).toMatch(/^SKIPPED batch-read-16x64KiB: it could not be prepared: UNIMPLEMENTED/m);
    expect(stdout).toContain("SKIPPED ac-hit: the server offers no action cache updates for this instance");
    expect(stdout).toContain("SKIPPED execute-noop: the server offers no execution for this instance");
    // This one needs no preparation: its warm-up finds out.
    expect(stdout).toContain("SKIPPED batch-update-16x64KiB: the server does not implement it");
    expect(exitCode).toBe(0);
  });

  it("skips everything where the instance is not known", async () => {
    const address = await startForeignServer();

    const { exitCode, stdout } = await runBench("--target", `grpc://${address}`, ...TINY, "capabilities", "ac-miss");

    expect(stdout).toContain('SKIPPED capabilities: the server has no capabilities for instance "main"');
    expect(stdout).toContain("INVALID_ARGUMENT: no instance main");
    expect(stdout).toContain("SKIPPED ac-miss");
    expect(exitCode).toBe(0);
  });

  it("sends a bearer token over TLS", async () => {
    const { key, certificate, certificatePath } = await selfSigned();
    const address = await startForeignServer({
      credentials: ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]),
      token: "t0ken",
    });
    const target = ["--target", `grpcs://${address}`, "--instance", "theirs", "--tls-ca", certificatePath, ...TINY];

    const withToken = await runBench(...target, "--token", "t0ken", "capabilities");
    const without = await runBench(...target, "capabilities");

    expect(withToken.stdout).toMatch(/^capabilities +16 +4 /m);
    expect(withToken.exitCode).toBe(0);
    expect(without.stdout).toContain("UNAUTHENTICATED: who are you?");
  });

  it.each([
    { args: ["--target", "https://x:1"], says: "It is grpc://host:port or grpcs://host:port." },
    { args: ["--target", "grpc://x:1", "--tls-ca", "package.json"], says: "TLS is spoken with grpcs://" },
    { args: ["--target", "grpc://x:1", "--r2-latency-ms", "5"], says: "for the Remex that the bench starts itself" },
    { args: ["--no-bill", "--r2-latency-ms", "5"], says: "leave out --no-bill" },
    { args: ["--config", "no-such.json5"], says: "ENOENT: no such file" },
    { args: ["no-such"], says: "there is no scenario no-such; there are: capabilities, " },
  ])("refuses $args", async ({ args, says }) => {
    const { exitCode, stderr } = await runBench(...args);

    expect(stderr).toContain(says);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(exitCode).toBe(1);
  });
});

async function selfSigned(): Promise<{ key: Buffer; certificate: Buffer; certificatePath: string }> {
  const directory = await mkdtemp(join(tmpdir(), "remex-certificate-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const [keyPath, certificatePath] = [join(directory, "key.pem"), join(directory, "certificate.pem")];
  await promisify(execFile)("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"],
    ...["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-keyout", keyPath, "-out", certificatePath],
  ]);
  return { key: await readFile(keyPath), certificate: await readFile(certificatePath), certificatePath };
}
