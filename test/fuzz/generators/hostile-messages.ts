import { type DescField, type DescMessage, ScalarType, toBinary, toJsonString } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import {
  hostileHash,
  hostileInteger,
  hostileOperationName,
  hostileResourceName,
  hostileSize,
  hostileString,
  randomBytes,
} from "./hostile-values.ts";

const MAX_DEPTH = 4;

/** A message of which each field may be set, to values that nobody sends in good faith. */
export function hostileMessage(random: Random, type: DescMessage, instanceName: string): ReflectMessage {
  return fill(random, type, instanceName, 0);
}

export function hostileBinary(random: Random, type: DescMessage, instanceName: string): Uint8Array {
  return toBinary(type, hostileMessage(random, type, instanceName).message);
}

/** Undefined where a value has no JSON form, such as a Duration beyond what that may be. */
export function hostileJson(random: Random, type: DescMessage, instanceName: string): string | undefined {
  try {
    return toJsonString(type, hostileMessage(random, type, instanceName).message);
  } catch {
    return undefined;
  }
}

function fill(random: Random, type: DescMessage, instanceName: string, depth: number): ReflectMessage {
  const message = reflect(type);
  for (const field of type.fields) {
    if (random.chance(field.name === "instance_name" ? 0.02 : 0.25)) continue;
    setField(random, message, field, instanceName, depth);
  }
  return message;
}

function setField(
  random: Random,
  message: ReflectMessage,
  field: DescField,
  instanceName: string,
  depth: number,
): void {
  switch (field.fieldKind) {
    case "scalar":
      message.set(field, scalar(random, field.scalar, field.name, instanceName));
      return;
    case "enum":
      message.set(field, random.chance(0.5) ? (random.pick(field.enum.values)?.number ?? 0) : hostileInteger(random));
      return;
    case "message":
      if (depth < MAX_DEPTH) message.set(field, fill(random, field.message, instanceName, depth + 1));
      return;
    case "list": {
      const list = message.get(field);
      for (
        let left = random.weighted([
            ["0", 1],
            ["1", 4],
            ["3", 4],
            ["40", 1],
          ] as const),
          count = Number(left ?? 0);
        count > 0;
        count -= 1
      ) {
        if (field.listKind === "scalar") list.add(scalar(random, field.scalar, field.name, instanceName));
        else if (field.listKind === "enum") list.add(hostileInteger(random));
        else if (depth < MAX_DEPTH) list.add(fill(random, field.message, instanceName, depth + 1));
      }
      return;
    }
    case "map":
      return;
  }
}

function scalar(random: Random, type: ScalarType, name: string, instanceName: string): unknown {
  switch (type) {
    case ScalarType.STRING:
      return text(random, name, instanceName);
    case ScalarType.BYTES:
      return randomBytes(random, random.between(0, 64));
    case ScalarType.BOOL:
      return random.chance(0.5);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return random.pick([0, -1, NaN, Infinity, 1e30]);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return hostileSize(random);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return BigInt.asUintN(64, hostileSize(random));
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return hostileInteger(random) >>> 0;
    default:
      return hostileInteger(random);
  }
}

/** Mostly what leads past the first checks. */
function text(random: Random, name: string, instanceName: string): string {
  if (random.chance(0.1)) return hostileString(random);
  switch (name) {
    case "instance_name":
      return instanceName;
    case "hash":
      return hostileHash(random);
    case "resource_name":
      return hostileResourceName(random, instanceName);
    case "name":
      return hostileOperationName(random, instanceName);
    default:
      return hostileString(random);
  }
}
