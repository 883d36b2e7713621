import { CLIENT_IDENTITY_HEADER } from "../../../src/access/client-identity-header.ts";
import { SMALL_OUTPUTS_HEADER } from "../../../src/action-cache/small-outputs-header.ts";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { hostileHash, hostileInteger, hostileString, randomBytes } from "../generators/hostile-values.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import { sendRaw } from "../raw-request.ts";
import type { Target } from "../target.ts";
import { INSTANCE } from "../world.ts";

const METHODS = [
  "GET",
  "HEAD",
  "PUT",
  "POST",
  "DELETE",
  "PROPFIND",
  "MKCOL",
  "OPTIONS",
  "PATCH",
  "TRACE",
  "LOCK",
  "MOVE",
];

/** Paths by their segments: those with braces are replaced, now and then by something else. */
const PATHS: readonly (readonly string[])[] = [
  [],
  ["healthz"],
  ["readyz"],
  ["metrics"],
  ["login"],
  ["logout"],
  ["v1", "instances", "{instance}", "agent"],
  ["v1", "instances", "{instance}", "demand"],
  ["v1", "stores", "{store}", "layout"],
  ["v1", "stores", "{store}", "check"],
  ["v1", "stores", "{store}", "reshard"],
  ["{instance}", "cas", "{hash}"],
  ["{instance}", "ac", "{hash}"],
  ["{instance}", "raw", "{any}"],
  ["{instance}", "raw", "{any}", "{any}"],
  ["{instance}", "raw", "v8", "artifacts"],
  ["{instance}", "raw", "v8", "artifacts", "{any}"],
  ["cas", "{hash}"],
  ["ui", "{instance}"],
  ["ui", "{instance}", "agents"],
  ["ui", "{instance}", "agents", "drain"],
  ["ui", "{instance}", "operations", "{number}", "{any}"],
  ["ui", "{instance}", "operations", "{number}", "{any}", "stdout"],
  ["ui", "{instance}", "invocations", "{any}"],
  ["ui", "{instance}", "actions", "{function}", "{hash}", "{number}"],
  ["ui", "{instance}", "trees", "{function}", "{hash}", "{number}"],
  ["ui", "{instance}", "trees", "{function}", "{hash}", "{number}", "{any}", "{any}"],
  ["ui", "{instance}", "output-trees", "{function}", "{hash}", "{number}", "{any}"],
  ["ui", "{instance}", "files", "{function}", "{hash}", "{number}", "{any}"],
  ["build.bazel.remote.execution.v2.Execution", "{any}"],
  ["{any}", "{any}"],
];

const HEADERS: Readonly<Record<string, readonly string[]>> = {
  range: [
    "bytes=0-",
    "bytes=5-2",
    "bytes=-0",
    "bytes=-99999999999999999999",
    "bytes=a-b",
    "items=1-2",
    "bytes=0-0,5-9",
  ],
  "if-none-match": ["*", '"', 'W/"x"', ",,,"],
  "if-range": ['"x"', "Thu, 01 Jan 1970 00:00:00 GMT"],
  "content-type": [
    "application/grpc-web+proto",
    "application/json",
    "application/x-www-form-urlencoded",
    "text/html",
    "a/b;c",
  ],
  "content-encoding": ["gzip", "zstd", "identity", "x"],
  authorization: ["", "Bearer", "Bearer ", "Basic !!!!", "Basic Og==", "Bearer a.b.c", "Negotiate x", "Bearer \u00ff"],
  cookie: ["remex_token=", "remex_token=x", "remex_token=a.b.c; remex_token=b", "=;=;"],
  depth: ["infinity", "-1"],
  upgrade: ["websocket", "h2c"],
  origin: ["https://evil.example", "null"],
  traceparent: ["00-0-0-0", "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-ff", "x".repeat(5000)],
  tracestate: ["a=b,".repeat(100)],
  "last-event-id": ["-1", "5 0;31;", "99999999999999999999 x", "5 38;5;999;48;2;1"],
  "x-artifact-tag": ["", "x".repeat(5000), "=?utf-8?q?x?="],
  "x-artifact-duration": ["-1", "NaN", "1e999"],
  [SMALL_OUTPUTS_HEADER]: ["-1", "NaN", "1e999"],
  [CLIENT_IDENTITY_HEADER]: ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x".repeat(5000)],
};

/** Every route that is no call, with paths, methods, headers and bodies that nobody sends in good faith. */
export const requests: Target = {
  name: "requests",
  cases: 400,
  atOnce: 8,
  async run(random, { token, url }) {
    const method = random.pick(METHODS) ?? "GET";
    const path = hostilePath(random);
    const body = random.chance(0.4) ? randomBytes(random, random.between(0, 200)) : undefined;
    const headers: Record<string, string> = { authorization: `Bearer ${token}` };
    for (const [name, values] of Object.entries(HEADERS))
      if (random.chance(0.1)) headers[name] = random.pick(values) ?? "";
    const request = { method, path, headers, ...(body !== undefined && { body }) };
    const description = JSON.stringify({ ...request, body: body?.length });
    checkAnswer(await sendRaw(url, request), REFUSALS, description);
    return description;
  },
};

function hostilePath(random: Random): string {
  const segments = random.pick(PATHS) ?? [];
  const path = segments.map((segment) => (random.chance(0.05) ? hostileSegment(random) : fill(random, segment)));
  const query = random.chance(0.2)
    ? `?shard=${encodeURIComponent(hostileString(random))}&page=${hostileInteger(random)}`
    : "";
  return `/${path.join("/")}${query}`.slice(0, 8000);
}

function fill(random: Random, segment: string): string {
  switch (segment) {
    case "{instance}":
      return INSTANCE;
    case "{store}":
      return "MAIN_STORE";
    case "{hash}":
      return encodeURIComponent(hostileHash(random));
    case "{number}":
      return String(hostileInteger(random));
    case "{function}":
      return random.pick(["sha256", "blake3", "sha1", "md5", "SHA256", "__proto__"]) ?? "";
    case "{any}":
      return hostileSegment(random);
    default:
      return segment;
  }
}

/** Encoded, raw, or encoded wrongly. */
function hostileSegment(random: Random): string {
  const text = hostileString(random);
  if (random.chance(0.2))
    return random.pick(["%", "%zz", "%c0%af", "%ff%fe", "%00", "%2e%2e", "..", "%ed%a0%80"]) ?? "";
  return encodeURIComponent(text);
}
