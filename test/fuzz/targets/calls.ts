import type { DescMethod } from "@bufbuild/protobuf";
import {
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  Execution,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { Operations } from "../../../protos/gen/google/longrunning/operations_pb.ts";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { corrupt, nestedJson } from "../generators/corruptions.ts";
import { brokenFrames, envelope } from "../generators/envelopes.ts";
import { hostileBinary, hostileJson } from "../generators/hostile-messages.ts";
import { hostileString } from "../generators/hostile-values.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import { sendRaw } from "../raw-request.ts";
import type { Target } from "../target.ts";
import { INSTANCE } from "../world.ts";

const METHODS: readonly DescMethod[] = [
  ActionCache,
  Capabilities,
  ContentAddressableStorage,
  Execution,
  ByteStream,
  Operations,
].flatMap(({ methods }) => methods);

/** Every method of every service, in every protocol, with messages and frames of every kind of wrong. */
export const calls: Target = {
  name: "calls",
  cases: 400,
  atOnce: 8,
  async run(random, { token, url }) {
    const method = random.pick(METHODS);
    if (method === undefined) return "";
    const { allowed, body, contentType, what } = hostileCall(random, method);
    const path = `/${method.parent.typeName}/${method.name}`;
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": contentType,
      ...hostileHeaders(random),
    };
    const answer = await sendRaw(url, { method: "POST", path, headers, body });
    const description = `${path} as ${contentType}, ${what}: ${Buffer.from(body.subarray(0, 100)).toString("hex")}`;
    checkAnswer(answer, allowed, description);
    return description;
  },
};

interface HostileCall {
  readonly contentType: string;
  readonly body: Uint8Array;
  readonly what: string;
  readonly allowed: ReadonlySet<string>;
}

function hostileCall(random: Random, method: DescMethod): HostileCall {
  const streaming = method.methodKind !== "unary";
  const inGrpcWeb = random.chance(0.5);
  const framed = inGrpcWeb || streaming;
  const prefix = inGrpcWeb ? "application/grpc-web+" : streaming ? "application/connect+" : "application/";
  if (random.chance(0.25)) {
    const json = random.chance(0.3) ? nestedJson(random) : hostileJson(random, method.input, INSTANCE);
    const text = json ?? hostileString(random);
    const bytes = new TextEncoder().encode(random.chance(0.2) ? text.slice(0, random.between(0, text.length)) : text);
    const body = framed ? envelope(bytes) : bytes;
    return { contentType: `${prefix}json`, body, what: "JSON", allowed: REFUSALS };
  }
  const contentType = `${prefix}proto`;
  const message = hostileBinary(random, method.input, INSTANCE);
  if (framed && random.chance(0.3)) {
    const { bytes, codes } = brokenFrames(random, message);
    return { contentType, body: bytes, what: "broken frames", allowed: new Set([...REFUSALS, ...codes]) };
  }
  const isCorrupt = random.chance(0.4);
  const bytes = isCorrupt ? corrupt(random, message) : message;
  return {
    contentType,
    body: framed ? envelope(bytes) : bytes,
    what: isCorrupt ? "corrupt message" : "hostile values",
    allowed: REFUSALS,
  };
}

/** Headers that calls look at, with values that they don't expect. */
function hostileHeaders(random: Random): Record<string, string> {
  const value = (): string =>
    hostileString(random)
      .replace(/[^\x20-\x7e]/g, "")
      .slice(0, 4000);
  const headers: Record<string, string> = {};
  if (random.chance(0.1)) headers["build.bazel.remote.execution.v2.requestmetadata-bin"] = value();
  if (random.chance(0.05)) headers["accept-encoding"] = value();
  if (random.chance(0.05)) headers["x-forwarded-host"] = value();
  return headers;
}
