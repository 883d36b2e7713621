/** A field of a Protocol Buffers message, as it lies in the message's bytes. */
export interface WireField {
  readonly number: number;
  readonly type: "varint" | "fixed" | "bytes";
  /** Where the value begins. */
  readonly start: number;
  /** Behind the value; that of `bytes` may be beyond what has come. */
  readonly end: number;
  /** Of a `varint`, unsigned: exact up to 2^53. 0 for the others. */
  readonly value: number;
}

/** A varint is of 64 bits at most. */
const MAX_VARINT_BYTES = 10;

/**
 * The field that begins at `at`. Undefined if more bytes than those before `end` are needed to tell where it ends, and
 * "malformed" if it begins like none: groups among them, which no message of REAPI has.
 */
export function readField(bytes: Uint8Array, at: number, end: number): WireField | "malformed" | undefined {
  const tag = readVarint(bytes, at, end);
  if (tag === undefined || tag === "malformed") return tag;
  const number = Math.floor(tag.value / 8);
  if (number === 0) return "malformed";
  const start = tag.end;
  switch (tag.value % 8) {
    case 0: {
      const varint = readVarint(bytes, start, end);
      if (varint === undefined || varint === "malformed") return varint;
      return { number, type: "varint", start, end: varint.end, value: varint.value };
    }
    case 1:
      return { number, type: "fixed", start, end: start + 8, value: 0 };
    case 2: {
      const length = readVarint(bytes, start, end);
      if (length === undefined || length === "malformed") return length;
      return { number, type: "bytes", start: length.end, end: length.end + length.value, value: 0 };
    }
    case 5:
      return { number, type: "fixed", start, end: start + 4, value: 0 };
    default:
      return "malformed";
  }
}

function readVarint(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly value: number; readonly end: number } | "malformed" | undefined {
  let value = 0;
  let scale = 1;
  for (let position = at; position < at + MAX_VARINT_BYTES; position++) {
    const byte = position < end ? bytes[position] : undefined;
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: position + 1 };
    scale *= 128;
  }
  return "malformed";
}
