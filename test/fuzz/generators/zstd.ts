import { zstdCompressSync } from "node:zlib";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { concatenate, corrupt } from "./corruptions.ts";
import { randomBytes } from "./hostile-values.ts";

export interface HostileZstd {
  readonly what: string;
  readonly bytes: Uint8Array;
  /** What the digest says that they are of. */
  readonly claimedBytes: number;
}

const MEBIBYTE = 1 << 20;

/** Data that are, or call themselves, zstd: small ones that become large, of vast windows, of endless frames, cut, or none. */
export function hostileZstd(random: Random): HostileZstd {
  const claimedBytes = random.pick([1, 100, 70_000, 3 * MEBIBYTE]) ?? 1;
  switch (random.between(0, 6)) {
    case 0:
      return { what: "a bomb in one frame", bytes: bomb(random.pick([4, 64]) ?? 1), claimedBytes };
    case 1:
      return { what: "a bomb in many frames", bytes: repeat(bomb(1), random.pick([10, 300]) ?? 1), claimedBytes };
    case 2:
      return { what: "a run-length bomb", bytes: runLengthBomb(random.pick([10, 10_000]) ?? 1), claimedBytes };
    case 3:
      return { what: "a vast window", bytes: frameWithWindow(random.between(0, 255)), claimedBytes };
    case 4:
      return { what: "empty frames", bytes: repeat(zstdCompressSync(new Uint8Array(0)), 20_000), claimedBytes };
    case 5:
      return { what: "skippable frames", bytes: skippable(random), claimedBytes };
    default: {
      const whole = zstdCompressSync(randomBytes(random, random.between(1, 3000)));
      return { what: "corrupt data", bytes: corrupt(random, whole), claimedBytes };
    }
  }
}

const bombs = new Map<number, Uint8Array>();

function bomb(mebibytes: number): Uint8Array {
  const known = bombs.get(mebibytes);
  if (known !== undefined) return known;
  const made = zstdCompressSync(new Uint8Array(mebibytes * MEBIBYTE));
  bombs.set(mebibytes, made);
  return made;
}

function repeat(bytes: Uint8Array, times: number): Uint8Array {
  return concatenate(...Array.from({ length: times }, () => bytes));
}

const MAGIC = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);

/** A frame of blocks of four bytes that become 128 KiB each. */
function runLengthBomb(blocks: number): Uint8Array {
  // A window of 1 MiB, then blocks of type 1 and 131,071 bytes, none of them the last.
  const header = (131_071 << 3) | 2;
  const block = Uint8Array.of(header & 0xff, (header >> 8) & 0xff, (header >> 16) & 0xff, 0x61);
  return concatenate(MAGIC, Uint8Array.of(0x00, 0x50), repeat(block, blocks));
}

function frameWithWindow(window: number): Uint8Array {
  return concatenate(MAGIC, Uint8Array.of(0x00, window), Uint8Array.of(0x0b, 0, 0, 0x61));
}

function skippable(random: Random): Uint8Array {
  const magic = Uint8Array.of(0x50 + random.between(0, 15), 0x2a, 0x4d, 0x18);
  const length = random.chance(0.5) ? Uint8Array.of(0xff, 0xff, 0xff, 0xff) : Uint8Array.of(2, 0, 0, 0);
  return repeat(concatenate(magic, length, Uint8Array.of(1, 2)), random.pick([1, 1000]) ?? 1);
}
