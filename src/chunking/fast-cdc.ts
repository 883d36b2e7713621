import { ByteSource } from "../bytes/byte-source.ts";
import { GEAR_HIGH, GEAR_LOW } from "./gear-table.ts";

/**
 * REAPI's FAST_CDC_2020: content-defined chunks by the algorithm of Xia et al. (2020), with its normalization level 2, the
 * published table and no seed. Clients that cut a blob by the same parameters get the same chunks. 512 KiB is also what
 * Bazel takes where a server says nothing; least and most follow from the average by a factor of four.
 */
export const AVERAGE_CHUNK_BYTES = 512 << 10;
export const SEED = 0;
export const MIN_CHUNK_BYTES = AVERAGE_CHUNK_BYTES / 4;
export const MAX_CHUNK_BYTES = AVERAGE_CHUNK_BYTES * 4;

/**
 * The masks that the paper's authors spread over 48 bits, of 2 bits more and 2 less than the average has: a cut is less
 * likely before the average, and more likely behind it.
 */
const PHASES = [
  { endBytes: AVERAGE_CHUNK_BYTES, maskHigh: 0xd917, maskLow: 0x67537000 },
  { endBytes: MAX_CHUNK_BYTES, maskHigh: 0xd907, maskLow: 0x03537000 },
] as const;

/** The length of the first chunk of `bytes`, which are all that is left or at least MAX_CHUNK_BYTES. */
export function firstChunkBytes(bytes: Uint8Array): number {
  const mostBytes = Math.min(bytes.length, MAX_CHUNK_BYTES);
  // The algorithm rolls two bytes at a time, and does not look at an odd last one.
  const endBytes = mostBytes - (mostBytes % 2);
  let position = MIN_CHUNK_BYTES;
  let high = 0;
  let low = 0;
  for (const phase of PHASES) {
    const { maskHigh, maskLow } = phase;
    for (const phaseEnd = Math.min(phase.endBytes, endBytes); position < phaseEnd; position++) {
      const byte = bytes[position] ?? 0;
      // hash = (hash << 1) + GEAR[byte], of 64 bits. The carry is computed from bits, at twice the speed of a comparison.
      const shifted = low << 1;
      const gear = GEAR_LOW[byte] ?? 0;
      const sum = (shifted + gear) | 0;
      const carry = ((shifted & gear) | ((shifted | gear) & ~sum)) >>> 31;
      high = (((high << 1) | (low >>> 31)) + (GEAR_HIGH[byte] ?? 0) + carry) | 0;
      low = sum;
      if ((high & maskHigh) === 0 && (low & maskLow) === 0) return position;
    }
  }
  return mostBytes;
}

/** Cuts bytes that come one after another into chunks. Holds twice the largest chunk. */
export async function* cutIntoChunks(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const source = new ByteSource(bytes);
  const buffer = new Uint8Array(2 * MAX_CHUNK_BYTES);
  let startBytes = 0;
  let endBytes = 0;
  for (let ended = false; ;) {
    if (endBytes - startBytes < MAX_CHUNK_BYTES && !ended) {
      buffer.copyWithin(0, startBytes, endBytes);
      endBytes -= startBytes;
      startBytes = 0;
      while (endBytes < buffer.length) {
        const taken = await source.take(buffer.length - endBytes);
        ended = taken === undefined;
        if (taken === undefined) break;
        buffer.set(taken, endBytes);
        endBytes += taken.length;
      }
    }
    if (startBytes === endBytes) return;
    const lengthBytes = firstChunkBytes(buffer.subarray(startBytes, endBytes));
    yield buffer.slice(startBytes, startBytes + lengthBytes);
    startBytes += lengthBytes;
  }
}
