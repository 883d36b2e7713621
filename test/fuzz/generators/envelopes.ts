import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { concatenate } from "./corruptions.ts";

/** A frame of gRPC, gRPC-Web and Connect: flags, length, message. */
export function envelope(message: Uint8Array, flags = 0, lengthBytes = message.length): Uint8Array {
  const prefix = new Uint8Array(5);
  const view = new DataView(prefix.buffer);
  view.setUint8(0, flags);
  view.setUint32(1, lengthBytes);
  return concatenate(prefix, message);
}

/** Frames that break the protocol. */
export interface BrokenFrames {
  readonly bytes: Uint8Array;
  /** The codes that say so. */
  readonly codes: readonly string[];
}

/** A request's frames with a fault. */
export function brokenFrames(random: Random, message: Uint8Array): BrokenFrames {
  switch (random.between(0, 5)) {
    case 0:
      return { bytes: envelope(message, 0, 0xffffffff), codes: ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"] };
    case 1:
      return { bytes: envelope(message, 0, message.length + 1), codes: ["INVALID_ARGUMENT"] };
    case 2:
      return { bytes: envelope(message).subarray(0, random.between(1, 4)), codes: ["INVALID_ARGUMENT"] };
    case 3:
      // What is compressed without saying how is INTERNAL by gRPC's specification of compression.
      return { bytes: envelope(message, 1 + 2 * random.between(0, 127)), codes: ["INTERNAL", "INVALID_ARGUMENT"] };
    case 4:
      return { bytes: envelope(message, 2 * random.between(1, 127)), codes: ["INVALID_ARGUMENT"] };
    default:
      return { bytes: new Uint8Array(0), codes: ["INVALID_ARGUMENT"] };
  }
}
