import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** A field's value: numbers and bytes are all that is read or set of the conformance runner's messages. */
export type FieldValue = number | Uint8Array;

interface Field {
  readonly number: number;
  readonly wireType: WireType;
  /** What follows the tag: of a length-delimited field without its length. */
  readonly value: FieldValue;
}

/**
 * A message of `connectrpc.conformance.v1` as its fields. The runner's schema is not ours to keep: a few of its field
 * numbers are all that is needed to stand between the runner and a reference implementation.
 */
export class CompatMessage {
  readonly #fields: readonly Field[];

  static parse(bytes: Uint8Array): CompatMessage {
    const reader = new BinaryReader(bytes);
    const fields: Field[] = [];
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      if (wireType === WireType.Varint) fields.push({ number, wireType, value: Number(reader.uint64()) });
      else if (wireType === WireType.LengthDelimited) fields.push({ number, wireType, value: reader.bytes() });
      else throw new Error(`field ${number} has the wire type ${wireType}, which the runner's messages don't use`);
    }
    return new CompatMessage(fields);
  }

  constructor(fields: readonly Field[] = []) {
    this.#fields = fields;
  }

  number(field: number): number {
    const value = this.#fields.findLast(({ number }) => number === field)?.value;
    return typeof value === "number" ? value : 0;
  }

  bytes(field: number): Uint8Array {
    const value = this.#fields.findLast(({ number }) => number === field)?.value;
    return value instanceof Uint8Array ? value : new Uint8Array();
  }

  /** The message with other values of some fields. */
  with(values: Readonly<Record<number, FieldValue>>): CompatMessage {
    const kept = this.#fields.filter(({ number }) => !(number in values));
    const set = Object.entries(values).map(([number, value]) => ({
      number: Number(number),
      wireType: typeof value === "number" ? WireType.Varint : WireType.LengthDelimited,
      value,
    }));
    return new CompatMessage([...kept, ...set]);
  }

  toBytes(): Uint8Array {
    const writer = new BinaryWriter();
    for (const { number, wireType, value } of this.#fields) {
      writer.tag(number, wireType);
      if (typeof value === "number") writer.uint64(value);
      else writer.bytes(value);
    }
    return writer.finish();
  }
}

/** The runner's messages on a stream: each behind its length, four bytes of big-endian. */
export async function* readMessages(stream: AsyncIterable<Buffer>): AsyncGenerator<CompatMessage> {
  let held = Buffer.alloc(0);
  for await (const chunk of stream) {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 4 && held.length >= 4 + held.readUInt32BE()) {
      const end = 4 + held.readUInt32BE();
      yield CompatMessage.parse(held.subarray(4, end));
      held = held.subarray(end);
    }
  }
}

export function writeMessage(stream: NodeJS.WritableStream, message: CompatMessage): void {
  const bytes = message.toBytes();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  stream.write(Buffer.concat([length, bytes]));
}
