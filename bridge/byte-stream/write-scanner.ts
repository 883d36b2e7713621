import { FrameError, PREFIX_BYTES } from "../frames.ts";

/** No resource name is near this. */
const MAX_NAME_BYTES = 16 * 1024;

/** A varint of 64 bits has ten bytes at most. */
const MAX_VARINT_BITS = 70n;

/** The numbers of WriteRequest's fields. */
const RESOURCE_NAME = 1;
const WRITE_OFFSET = 2;
const FINISH_WRITE = 3;
const DATA = 10;

/** Protobuf's wire types. */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** The wire type of each field that is read here. */
const WIRE_TYPES: ReadonlyMap<number, number> = new Map([
  [RESOURCE_NAME, LENGTH_DELIMITED],
  [WRITE_OFFSET, VARINT],
  [FINISH_WRITE, VARINT],
  [DATA, LENGTH_DELIMITED],
]);

/** Some of a WriteRequest. Each message has one part at least; the last has `endsMessage`. */
export interface WritePart {
  /** The message's; empty where it doesn't repeat it. */
  readonly resourceName: string;
  /** Where in the upload `data` begin, by the message's `write_offset`. */
  readonly offset: bigint;
  readonly data: Uint8Array;
  readonly endsMessage: boolean;
  /** The message's `finish_write`; false until `endsMessage`. */
  readonly finishWrite: boolean;
}

const NO_DATA = new Uint8Array();

/**
 * Follows the WriteRequests of a ByteStream.Write through the chunks of its request, holding no data: a message may be of
 * any size, and a thousand uploads may be under way.
 */
export class WriteScanner {
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixFilled = 0;
  /** Bytes of the message and of the field's value that are still to come. */
  #messageLeft = 0;
  #fieldLeft = 0;
  #expected: "tag" | "value" | "length" = "tag";
  #varint = 0n;
  #varintBits = 0n;
  #field = 0;
  #nameParts: Uint8Array[] = [];

  #resourceName = "";
  #offset = 0n;
  #finishWrite = false;
  #sawData = false;

  /** Whether the request may not end here. */
  get midMessage(): boolean {
    return this.#prefixFilled > 0;
  }

  /**
   * Takes the next chunk and returns its parts, whose data are views of it.
   * @throws FrameError on anything but uncompressed WriteRequests that name the resource and the offset before the data, as
   * every protobuf library writes them. Nothing more may be scanned after that.
   */
  push(chunk: Uint8Array): WritePart[] {
    const parts: WritePart[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#prefixFilled < PREFIX_BYTES) {
        this.#prefix[this.#prefixFilled++] = chunk[at++] ?? 0;
        if (this.#prefixFilled < PREFIX_BYTES) continue;
        this.#beginMessage();
      } else {
        const end = this.#fieldLeft > 0 ? Math.min(at + this.#fieldLeft, chunk.length) : at + 1;
        this.#messageLeft -= end - at;
        if (this.#fieldLeft > 0) {
          this.#takeValue(chunk.subarray(at, end), parts);
        } else {
          this.#takeVarintByte(chunk[at] ?? 0);
        }
        at = end;
      }
      if (this.#messageLeft === 0) this.#endMessage(parts);
    }
    return parts;
  }

  #beginMessage(): void {
    const view = new DataView(this.#prefix.buffer);
    const flags = view.getUint8(0);
    if (flags !== 0) {
      throw new FrameError(`a message frame has the flags 0x${flags.toString(16)}; none are read here`);
    }
    this.#messageLeft = view.getUint32(1);
    this.#resourceName = "";
    this.#offset = 0n;
    this.#finishWrite = false;
    this.#sawData = false;
  }

  #endMessage(parts: WritePart[]): void {
    if (this.#expected !== "tag" || this.#varintBits > 0n) {
      throw new FrameError("a WriteRequest ends within a field");
    }
    const last = parts.at(-1);
    const finishWrite = this.#finishWrite;
    // What the message's last bytes were is a part already, if they were data.
    if (this.#field === DATA && last !== undefined && !last.endsMessage) {
      parts[parts.length - 1] = { ...last, endsMessage: true, finishWrite };
    } else {
      parts.push({ ...this.#part(NO_DATA), endsMessage: true, finishWrite });
    }
    this.#prefixFilled = 0;
    this.#field = 0;
  }

  #takeVarintByte(byte: number): void {
    this.#varint |= BigInt(byte & 0x7f) << this.#varintBits;
    this.#varintBits += 7n;
    if (byte >= 0x80) {
      if (this.#varintBits >= MAX_VARINT_BITS) throw new FrameError("a WriteRequest has a number of more than 64 bits");
      return;
    }
    const value = this.#varint;
    this.#varint = 0n;
    this.#varintBits = 0n;
    switch (this.#expected) {
      case "tag":
        this.#beginField(Number(value >> 3n), Number(value & 7n));
        break;
      case "value":
        if (this.#field === WRITE_OFFSET) this.#offset = BigInt.asIntN(64, value);
        if (this.#field === FINISH_WRITE) this.#finishWrite = value !== 0n;
        this.#expected = "tag";
        break;
      case "length":
        this.#beginValue(Number(value));
        break;
    }
  }

  #beginField(field: number, wireType: number): void {
    if (field === 0 || wireType !== (WIRE_TYPES.get(field) ?? wireType)) {
      throw new FrameError("a message is no WriteRequest");
    }
    if (this.#sawData && field !== FINISH_WRITE && WIRE_TYPES.has(field)) {
      throw new FrameError("a WriteRequest has its data before its other fields");
    }
    this.#field = field;
    switch (wireType) {
      case VARINT:
        this.#expected = "value";
        break;
      case LENGTH_DELIMITED:
        this.#expected = "length";
        break;
      case FIXED32:
        this.#beginValue(4);
        break;
      case FIXED64:
        this.#beginValue(8);
        break;
      default:
        throw new FrameError("a message is no WriteRequest");
    }
  }

  #beginValue(bytes: number): void {
    if (bytes > this.#messageLeft || (this.#field === RESOURCE_NAME && bytes > MAX_NAME_BYTES)) {
      throw new FrameError("a WriteRequest has a field that is too long");
    }
    this.#fieldLeft = bytes;
    this.#expected = "tag";
    this.#nameParts = [];
    this.#sawData ||= this.#field === DATA;
  }

  #takeValue(bytes: Uint8Array, parts: WritePart[]): void {
    this.#fieldLeft -= bytes.length;
    if (this.#field === DATA) {
      parts.push(this.#part(bytes));
      this.#offset += BigInt(bytes.length);
    } else if (this.#field === RESOURCE_NAME) {
      this.#nameParts.push(bytes);
      if (this.#fieldLeft === 0) this.#resourceName = decodeName(Buffer.concat(this.#nameParts));
    }
  }

  #part(data: Uint8Array): WritePart {
    return {
      resourceName: this.#resourceName,
      offset: this.#offset,
      data,
      endsMessage: false,
      finishWrite: false,
    };
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeName(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch (error) {
    throw new FrameError("a WriteRequest has a resource_name that is no UTF-8", { cause: error });
  }
}
