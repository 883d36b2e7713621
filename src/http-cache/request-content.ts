import { Code, ConnectError } from "@connectrpc/connect";
import { RequestBody } from "../connect/request-body.ts";
import { GrowingBuffer } from "../bytes/growing-buffer.ts";
import { GrowingHold } from "../memory/growing-hold.ts";

/** The largest body that is read whole, which is what must be hashed before it is known where it goes. */
export const MAX_HELD_BYTES = 32 << 20;

/** A small body need not wait for the memory that large ones hold. */
const FREE_BYTES = 64 << 10;

/** The length that a request announces for its body, or undefined if it comes in chunks. */
export function announcedLength({ headers }: Request): number | undefined {
  const header = headers.get("content-length");
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/**
 * Reads a body whole and lets `use` have it.
 * @param owner who sends it
 * @throws ConnectError RESOURCE_EXHAUSTED if it is longer than MAX_HELD_BYTES, UNAVAILABLE if other requests hold so much
 * that there is no room, INVALID_ARGUMENT if it ends before its announced length.
 */
export async function holdContent<T>(
  body: RequestBody,
  lengthBytes: number,
  owner: string,
  use: (bytes: Uint8Array) => Promise<T>,
): Promise<T> {
  if (lengthBytes > MAX_HELD_BYTES) {
    throw new ConnectError(
      `the value has ${lengthBytes} bytes; at most ${MAX_HELD_BYTES} can be stored here`,
      Code.ResourceExhausted,
    );
  }
  const hold = new GrowingHold(owner, FREE_BYTES);
  try {
    return await use(await readWhole(body, lengthBytes, hold));
  } finally {
    hold.release();
  }
}

async function readWhole(body: RequestBody, lengthBytes: number, hold: GrowingHold): Promise<Uint8Array> {
  const whole = new GrowingBuffer(lengthBytes);
  for await (const chunk of body) {
    const neededBytes = whole.bytes.length + chunk.length;
    if (neededBytes > lengthBytes) throw endsElsewhere(neededBytes, lengthBytes);
    await hold.grow(chunk.length);
    whole.append(chunk);
  }
  if (whole.bytes.length < lengthBytes) throw endsElsewhere(whole.bytes.length, lengthBytes);
  return whole.bytes;
}

export function endsElsewhere(gotBytes: number, announcedBytes: number): ConnectError {
  return new ConnectError(`${gotBytes} bytes came; Content-Length says ${announcedBytes}`, Code.InvalidArgument);
}
