import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { envelope } from "../generators/envelopes.ts";
import { hostileHash } from "../generators/hostile-values.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import { sendRaw } from "../raw-request.ts";
import type { Target } from "../target.ts";
import { INSTANCE, type World } from "../world.ts";

const CONNECTIONS = 200;
const CRLF = "\r\n";

/** Requests that announce much, send some of it, and then nothing: many at once, and others must not wait for them. */
export const slowBodies: Target = {
  name: "slow bodies",
  cases: 2,
  atOnce: 1,
  async run(random, world) {
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => begin(random, world)));
    try {
      // Whoever sends all of a request is answered meanwhile, the attacker included.
      for (let count = 0; count < 5; count += 1) {
        const request = { method: "GET", path: `/${INSTANCE}/cas/${"0".repeat(64)}` };
        const headers = { authorization: `Bearer ${world.token}` };
        checkAnswer(await sendRaw(world.url, { ...request, headers }), REFUSALS, "a request beside slow ones");
      }
      await world.afterMoreRounds(3);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    return `${CONNECTIONS} slow bodies`;
  },
};

async function begin(random: Random, { token, url }: World): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.resume();
  await once(socket, "connect");
  const { contentType, first, length, method, path } = slowRequest(random);
  const head = [
    `${method} ${path} HTTP/1.1`,
    `host: ${hostname}`,
    `authorization: Bearer ${token}`,
    `content-type: ${contentType}`,
    length === undefined ? "transfer-encoding: chunked" : `content-length: ${length}`,
  ];
  socket.write(`${head.join(CRLF)}${CRLF}${CRLF}`);
  if (length === undefined) socket.write(`${first.length.toString(16)}${CRLF}`);
  socket.write(first);
  return socket;
}

interface SlowRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  /** What it announces; undefined for a body in chunks. */
  readonly length: number | undefined;
  readonly first: Uint8Array;
}

function slowRequest(random: Random): SlowRequest {
  const length = random.chance(0.5) ? 32 << 20 : undefined;
  const first = new Uint8Array(random.between(1, 50_000));
  const namespace = random.pick(["ac", "raw", "cas"]) ?? "ac";
  if (random.chance(0.5)) {
    const path = `/${INSTANCE}/${namespace}/${encodeURIComponent(hostileHash(random))}`;
    return { method: "PUT", path, contentType: "application/octet-stream", length: 32 << 20, first };
  }
  const service = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs";
  const path = random.chance(0.5) ? service : "/google.bytestream.ByteStream/Write";
  const frame = envelope(first, 0, 7 << 20);
  return { method: "POST", path, contentType: "application/grpc-web+proto", length, first: frame };
}
