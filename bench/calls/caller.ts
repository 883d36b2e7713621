import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

/** Sent with a call. A name that ends in `-bin` takes bytes. */
export type CallHeaders = Readonly<Record<string, string | Uint8Array>>;

/**
 * One way of reaching a REAPI server. Messages are serialized bytes, so that what is encoded before the clock starts is
 * not encoded again while it runs, and an answer is decoded only by who needs to. Every failure is a ConnectError.
 */
export interface Caller {
  unary(method: DescMethod, request: Uint8Array, headers?: CallHeaders): Promise<Uint8Array>;
  /** The answers as they come. */
  serverStream(method: DescMethod, request: Uint8Array, headers?: CallHeaders): AsyncIterable<Uint8Array>;
  /** Takes the next request only when the one before has been taken over by the connection. */
  clientStream(method: DescMethod, requests: Iterable<Uint8Array>, headers?: CallHeaders): Promise<Uint8Array>;
  close(): void;
}

/** `/{package.Service}/{Method}` */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

export function encode<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): Uint8Array {
  return toBinary(schema, create(schema, message));
}

/** A call with typed messages, for what is done outside of the clock. */
export async function callUnary<I extends DescMessage, O extends DescMessage>(
  caller: Caller,
  method: DescMethod & { readonly input: I; readonly output: O },
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  return fromBinary(method.output, await caller.unary(method, encode(method.input, request)));
}
