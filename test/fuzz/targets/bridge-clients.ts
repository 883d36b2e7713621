import http2, { type ClientHttp2Session } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { pino } from "pino";
import { pathOf } from "../../../bridge/method-path.ts";
import { LOCAL_SERVICES } from "../../../bridge/served-services.ts";
import { startBridge } from "../../../bridge/server.ts";
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  Execution,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { Health } from "../../../protos/gen/grpc/health/v1/health_pb.ts";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { corrupt } from "../generators/corruptions.ts";
import { brokenFrames, envelope } from "../generators/envelopes.ts";
import { hostileBinary } from "../generators/hostile-messages.ts";
import { hostileString } from "../generators/hostile-values.ts";
import { callNatively } from "../native-call.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import type { Target } from "../target.ts";
import { Violation } from "../violation.ts";
import { INSTANCE, type World } from "../world.ts";

const CARRIED: Called = {
  methods: [ActionCache, Capabilities, ContentAddressableStorage, Execution, ByteStream].flatMap(
    ({ methods }): readonly DescMethod[] => methods,
  ),
  unended: undefined,
};

const OWN: Called = { methods: LOCAL_SERVICES.flatMap(({ methods }) => methods), unended: "UNAVAILABLE" };

const CALLS_OF_A_CASE = 40;

/** What the bridge may say besides: it can't know what a frame of unknown compression holds. */
const BRIDGE_REFUSALS = new Set([...REFUSALS, "INTERNAL"]);

/** Clients of the bridge that call what it carries and send frames, headers and messages of every kind of wrong, over HTTP/2. */
export const bridgeClients: Target = {
  name: "clients of the bridge",
  cases: 3,
  atOnce: 1,
  async run(random, world) {
    return attackBridge(world, (session) => hostileCall(random, session, CARRIED));
  },
};

/** The same of what the bridge answers itself; some of these requests never end. */
export const bridgeServices: Target = {
  name: "services of the bridge",
  cases: 3,
  atOnce: 1,
  async run(random, world) {
    return attackBridge(world, (session) => hostileCall(random, session, OWN));
  },
};

async function attackBridge(
  { token, url }: World,
  call: (session: ClientHttp2Session) => Promise<void>,
): Promise<string> {
  const bridge = await startBridge({
    listen: { host: "127.0.0.1", port: 0 },
    endpoint: new URL(url),
    token: () => token,
    logger: pino({ level: "silent" }),
    limits: { shutdownGraceMs: 50, localRequestMs: 100 },
  });
  const session = http2.connect(`http://127.0.0.1:${bridge.port}`);
  session.on("error", () => undefined);
  try {
    for (let count = 0; count < CALLS_OF_A_CASE; count += 1) await call(session);
    const answer = await callNatively(session, `/${Capabilities.typeName}/GetCapabilities`, {}, goodMessage());
    if (answer.code !== "OK")
      throw new Violation(`an honest call after them ended with ${answer.code}: ${answer.text}`);
  } finally {
    session.destroy();
    await bridge.close();
  }
  return "calls over HTTP/2";
}

function goodMessage(): Uint8Array {
  // instance_name, field 1.
  return envelope(Uint8Array.of(0x0a, INSTANCE.length, ...new TextEncoder().encode(INSTANCE)));
}

interface Called {
  readonly methods: readonly DescMethod[];
  /** What requests that don't end are answered with; undefined where they may be waited for. */
  readonly unended: string | undefined;
}

async function hostileCall(random: Random, session: ClientHttp2Session, { methods, unended }: Called): Promise<void> {
  const method = random.pick(methods);
  if (method === undefined) return;
  const message = hostileBinary(random, method.input, INSTANCE);
  const broken = random.chance(0.4);
  const body = broken
    ? brokenFrames(random, message).bytes
    : envelope(random.chance(0.5) ? corrupt(random, message) : message);
  const path = random.chance(0.9)
    ? `/${method.parent.typeName}/${method.name}`
    : `/${encodeURIComponent(hostileString(random)).slice(0, 2000)}`;
  const headers: Record<string, string> = {};
  if (random.chance(0.1)) headers["grpc-timeout"] = random.pick(["", "1", "99999999H", "-1S", "1x", "0n"]) ?? "";
  if (random.chance(0.1)) headers["grpc-encoding"] = random.pick(["gzip", "zstd", "x", ""]) ?? "";
  if (random.chance(0.1)) headers["x-remex-client-identity"] = random.pick(["", "a.b.c", "x"]) ?? "";
  // A Watch has no other end.
  if (path === pathOf(Health.method.watch)) headers["grpc-timeout"] = "50m";
  const ends = unended === undefined || random.chance(0.8);
  const answer = await callNatively(session, path, headers, body, ends);
  const allowed = new Set(broken || headers["grpc-encoding"] !== undefined ? BRIDGE_REFUSALS : REFUSALS);
  if (headers["grpc-timeout"] !== undefined) allowed.add("DEADLINE_EXCEEDED");
  if (!ends) allowed.add(unended);
  checkAnswer(
    answer,
    allowed,
    `${path} ${JSON.stringify(headers)} ${Buffer.from(body.subarray(0, 60)).toString("hex")}`,
  );
}
