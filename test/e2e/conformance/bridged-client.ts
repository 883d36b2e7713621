// The client that connectconformance tests: its own reference client, speaking native gRPC, before the bridge, which speaks
// gRPC-Web over HTTP/1.1 to the runner's reference server. The argument is the program of the reference client.
import { spawn } from "node:child_process";
import { startChildBridge } from "./child-bridge.ts";
import { type CompatMessage, readMessages, writeMessage } from "./compat-message.ts";

/** Fields of ClientCompatRequest. */
const REQUEST = { httpVersion: 2, protocol: 3, host: 6, port: 7 } as const;

const GRPC = 2;
const HTTP_2 = 2;

const [, , referenceClient = "referenceclient"] = process.argv;
const client = spawn(referenceClient, { stdio: ["pipe", "inherit", "inherit"] });
client.once("close", (code) => process.exit(code ?? 1));
process.once("SIGTERM", () => process.exit(0));
process.once("exit", () => client.kill());

/** The ports of the bridges, by what they lead to. */
const bridges = new Map<string, Promise<number>>();

for await (const request of readMessages(process.stdin)) {
  const port = await bridgeTo(request);
  writeMessage(
    client.stdin,
    request.with({ [REQUEST.httpVersion]: HTTP_2, [REQUEST.protocol]: GRPC, [REQUEST.port]: port }),
  );
}
client.stdin.end();

function bridgeTo(request: CompatMessage): Promise<number> {
  const endpoint = `http://${Buffer.from(request.bytes(REQUEST.host)).toString()}:${request.number(REQUEST.port)}`;
  const bridge = bridges.get(endpoint) ?? startChildBridge(endpoint);
  bridges.set(endpoint, bridge);
  return bridge;
}
