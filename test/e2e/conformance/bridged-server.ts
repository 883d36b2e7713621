// The server that connectconformance tests: its own reference server, behind a bridge that speaks gRPC-Web over HTTP/2 to it.
// (Over HTTP/1.1, Go's servers can't read and write at once.) The argument is the program of the reference server.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChildBridge } from "./child-bridge.ts";
import { CompatMessage, readMessages, writeMessage } from "./compat-message.ts";

/** Fields of ServerCompatRequest, ServerCompatResponse and TLSCreds. */
const REQUEST = { protocol: 1, httpVersion: 2, useTls: 4, clientTlsCert: 5, serverCreds: 7 } as const;
const RESPONSE = { host: 1, port: 2, pemCert: 3 } as const;
const CREDS = { cert: 1, key: 2 } as const;

const GRPC_WEB = 3;
const HTTP_2 = 2;

const [, , referenceServer = "referenceserver"] = process.argv;
const directory = mkdtempSync(join(tmpdir(), "remex-conformance-"));
process.once("exit", () => {
  rmSync(directory, { recursive: true, force: true });
});
process.once("SIGTERM", () => process.exit(0));

for await (const request of readMessages(process.stdin)) {
  const upstream = await startReferenceServer(
    request.with({
      [REQUEST.protocol]: GRPC_WEB,
      [REQUEST.httpVersion]: HTTP_2,
      [REQUEST.useTls]: 1,
      [REQUEST.clientTlsCert]: new Uint8Array(),
    }),
  );
  const endpointCa = file("endpoint.pem", upstream.bytes(RESPONSE.pemCert));
  const endpoint = `https://${Buffer.from(upstream.bytes(RESPONSE.host)).toString()}:${upstream.number(RESPONSE.port)}`;
  const creds = CompatMessage.parse(request.bytes(REQUEST.serverCreds));
  const cert = creds.bytes(CREDS.cert);
  const port = await startChildBridge(endpoint, [
    ...["--endpoint-ca", endpointCa],
    ...tlsFlags(request, cert, creds.bytes(CREDS.key)),
  ]);
  writeMessage(
    process.stdout,
    new CompatMessage().with({
      [RESPONSE.host]: Buffer.from("127.0.0.1"),
      [RESPONSE.port]: port,
      ...(request.number(REQUEST.useTls) === 1 && { [RESPONSE.pemCert]: cert }),
    }),
  );
}

function tlsFlags(request: CompatMessage, cert: Uint8Array, key: Uint8Array): string[] {
  if (request.number(REQUEST.useTls) === 0) return [];
  const flags = ["--tls-cert", file("cert.pem", cert), "--tls-key", file("key.pem", key)];
  const clientCa = request.bytes(REQUEST.clientTlsCert);
  return clientCa.length === 0 ? flags : [...flags, "--client-ca", file("client-ca.pem", clientCa)];
}

function file(name: string, content: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

async function startReferenceServer(request: CompatMessage): Promise<CompatMessage> {
  const child = spawn(referenceServer, { stdio: ["pipe", "pipe", "inherit"] });
  process.once("exit", () => child.kill());
  writeMessage(child.stdin, request);
  for await (const response of readMessages(child.stdout)) return response;
  throw new Error(`${referenceServer} ended before it was ready`);
}
