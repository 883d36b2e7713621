import { createHash } from "node:crypto";

/**
 * The table of the gear hash that REAPI's FAST_CDC_2020 names: for each byte 64 bits, which are the first half of the MD5
 * of 64 such bytes. In two halves, since numbers hold 53 bits, and 32-bit integers are what is fast.
 */
export const GEAR_HIGH = new Int32Array(256);
export const GEAR_LOW = new Int32Array(256);

for (let byte = 0; byte < 256; byte++) {
  const hash = createHash("md5").update(new Uint8Array(64).fill(byte)).digest();
  GEAR_HIGH[byte] = hash.readInt32BE(0);
  GEAR_LOW[byte] = hash.readInt32BE(4);
}
