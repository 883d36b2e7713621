import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { randomBytes } from "./hostile-values.ts";

/** Bytes that are nearly those of a message. */
export function corrupt(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.between(0, bytes.length);
  switch (random.between(0, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return concatenate(bytes.subarray(0, at), randomBytes(random, random.between(1, 20)), bytes.subarray(at));
    case 2:
      return bytes.map((byte) => (random.chance(0.05) ? random.between(0, 255) : byte));
    case 3:
      return randomBytes(random, random.between(0, 300));
    case 4:
      return concatenate(bytes, LONG_LENGTH);
    default:
      return concatenate(bytes, nestedGroups(random.pick([100, 10_000, 1_000_000]) ?? 1));
  }
}

/** Field 1, of 2^63 bytes. */
const LONG_LENGTH = Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f);

/** Groups that begin within each other: an unknown field that is deep. */
function nestedGroups(depth: number): Uint8Array {
  return new Uint8Array(depth).fill(0x7b);
}

/** JSON that is deep. */
export function nestedJson(random: Random): string {
  const depth = random.pick([10, 1000, 200_000]) ?? 1;
  return `{"x":${"[".repeat(depth)}${"]".repeat(random.chance(0.5) ? depth : depth - 1)}}`;
}

export function concatenate(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
