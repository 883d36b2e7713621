import { bytesToHex } from "@noble/hashes/utils.js";
import { readField } from "../trees/wire-field.ts";
import type { DigestColumns } from "./digest-columns.ts";
import type { DigestFunction } from "./digest-function.ts";

/** Digest.hash and Digest.size_bytes, as they begin on the wire. */
const HASH_TAG = 0x0a;
const SIZE_TAG = 0x10;

/** More than all digits' values together, so that it shows in any that are put together with it. */
const NO_DIGIT = 0x100;
const DIGIT_VALUES = new Uint16Array(256).fill(NO_DIGIT);
const DIGITS = "0123456789abcdef";
for (let value = 0; value < DIGITS.length; value++) DIGIT_VALUES[DIGITS.charCodeAt(value)] = value;

/**
 * The digests of a message's repeated field, read where they lie: no object is made of any of them. Of 10,000 digests, that
 * takes a tenth of the time that decoding them does.
 */
export class WireDigests {
  readonly count: number;
  /** Of each hash, in hex digits. */
  readonly hexLength: number;
  readonly #hashes: Uint8Array<ArrayBuffer>;
  readonly #sizes: Float64Array;
  readonly #message: Uint8Array;
  /** Where the field of each begins, and behind them where the last one ends. */
  readonly #starts: Uint32Array;

  private constructor(
    message: Uint8Array,
    hexLength: number,
    count: number,
    columns: {
      readonly hashes: Uint8Array<ArrayBuffer>;
      readonly sizes: Float64Array;
      readonly starts: Uint32Array;
    },
  ) {
    this.#message = message;
    this.hexLength = hexLength;
    this.count = count;
    this.#hashes = columns.hashes.subarray(0, (count * hexLength) / 2);
    this.#sizes = columns.sizes.subarray(0, count);
    this.#starts = columns.starts.subarray(0, count + 1);
  }

  /**
   * Reads the digests of field `number` (below 16), and what else the message has. Undefined if it has none, or isn't as
   * clients write it: hashes of one length in lower-case hex, each with a size from 0 to 2^53-1, one digest right behind the
   * other. Then the message is to be decoded, which finds all that may be wrong with it.
   */
  static read(message: Uint8Array, number: number): { digests: WireDigests; rest: Uint8Array } | undefined {
    const fieldTag = number * 8 + 2;
    const start = skipOthers(message, 0, number);
    if (start === undefined || start === message.length) return undefined;
    const hexLength = firstHexLength(message, start);
    if (hexLength === 0 || hexLength % 2 !== 0) return undefined;

    // No field is shorter than its hash, and two bytes in front of each of the two.
    const most = Math.floor(message.length / (hexLength + 4)) + 1;
    const hashes = new Uint8Array((most * hexLength) / 2);
    const sizes = new Float64Array(most);
    const starts = new Uint32Array(most + 1);
    let count = 0;
    let filled = 0;
    let at = start;
    while (at < message.length && message[at] === fieldTag) {
      starts[count] = at;
      at++;
      const length = shortLength(message, at);
      at += length < 0x80 ? 1 : 2;
      const end = at + length;
      if (end > message.length || message[at] !== HASH_TAG || shortLength(message, at + 1) !== hexLength)
        return undefined;
      at += hexLength < 0x80 ? 2 : 3;
      const hashEnd = at + hexLength;
      if (hashEnd > end) return undefined;
      let faults = 0;
      while (at < hashEnd) {
        const byte = (digitValue(message, at) << 4) | digitValue(message, at + 1);
        faults |= byte;
        hashes[filled++] = byte;
        at += 2;
      }
      if (faults >= NO_DIGIT) return undefined;
      if (at < end) {
        if (message[at] !== SIZE_TAG) return undefined;
        const size = readSize(message, at + 1, end);
        if (size === undefined) return undefined;
        sizes[count] = size;
        at = end;
      }
      count++;
    }
    starts[count] = at;
    if (skipOthers(message, at, number) !== message.length) return undefined;
    const rest = new Uint8Array(start + message.length - at);
    rest.set(message.subarray(0, start));
    rest.set(message.subarray(at), start);
    return { digests: new WireDigests(message, hexLength, count, { hashes, sizes, starts }), rest };
  }

  /** @param digestFunction of which the caller has seen that it makes hashes of `hexLength` */
  columns(digestFunction: DigestFunction): DigestColumns {
    return { digestFunction, count: this.count, hashes: this.#hashes, sizes: this.#sizes };
  }

  /** In hex. */
  get firstHash(): string {
    return bytesToHex(this.#hashes.subarray(0, this.hexLength / 2));
  }

  /** The fields of those digests for which `chosen` has a 1, as they came, one after the other. */
  fields(chosen: Uint8Array): Uint8Array {
    let bytes = 0;
    for (let i = 0; i < this.count; i++) if (chosen[i] === 1) bytes += this.#start(i + 1) - this.#start(i);
    const fields = new Uint8Array(bytes);
    let filled = 0;
    for (let i = 0; i < this.count;) {
      const from = i;
      while (i < this.count && chosen[i] === 1) i++;
      if (i > from) {
        const stretch = this.#message.subarray(this.#start(from), this.#start(i));
        fields.set(stretch, filled);
        filled += stretch.length;
      } else {
        i++;
      }
    }
    return fields;
  }

  #start(position: number): number {
    return this.#starts[position] ?? 0;
  }
}

function digitValue(message: Uint8Array, at: number): number {
  return DIGIT_VALUES[message[at] ?? 0] ?? NO_DIGIT;
}

/** Where the fields end that begin at `at` and have another number than `number`; undefined if one is malformed. */
function skipOthers(message: Uint8Array, at: number, number: number): number | undefined {
  while (at < message.length) {
    const field = readField(message, at, message.length);
    if (field === undefined || field === "malformed" || field.end > message.length) return undefined;
    if (field.number === number) return at;
    at = field.end;
  }
  return at;
}

/** The length of the first digest's hash, or 0 if it doesn't begin with one. */
function firstHexLength(message: Uint8Array, fieldStart: number): number {
  const length = shortLength(message, fieldStart + 1);
  const start = fieldStart + (length < 0x80 ? 2 : 3);
  return message[start] === HASH_TAG ? shortLength(message, start + 1) : 0;
}

/** A length of one or two bytes; an impossible one, of which there can't be so much, if it is longer. */
function shortLength(message: Uint8Array, at: number): number {
  const low = message[at] ?? 0;
  if (low < 0x80) return low;
  const high = message[at + 1] ?? 0x80;
  return high < 0x80 ? (low & 0x7f) | (high << 7) : Infinity;
}

/** The varint that takes exactly the bytes before `end`, as a size; undefined if it is none. */
function readSize(message: Uint8Array, at: number, end: number): number | undefined {
  let value = 0;
  let scale = 1;
  while (at < end) {
    const byte = message[at++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return at === end && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
    scale *= 128;
  }
  return undefined;
}
