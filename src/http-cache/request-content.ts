import { Code, ConnectError } from "@connectrpc/connect";
import { RequestBody } from "../connect/request-body.ts";
import { takeMemory } from "../memory/isolate-memory.ts";

/** The largest body that is read whole, which is what must be hashed before it is known where it goes. */
export const MAX_HELD_BYTES = 32 << 20;

/** The length that a request announces for its body, or undefined if it comes in chunks. */
export function announcedLength({ headers }: Request): number | undefined {
  const header = headers.get("content-length");
  return header !== null && /^\d{1,15}$/.test(header) ? Number(header) : undefined;
}

/**
 * Reads a body whole and lets `use` have it.
 * @throws ConnectError RESOURCE_EXHAUSTED if it is longer than MAX_HELD_BYTES, UNAVAILABLE if other requests hold so much
 * that there is no room, INVALID_ARGUMENT if it ends before its announced length.
 */
export async function holdContent<T>(
  body: RequestBody,
  lengthBytes: number,
  use: (bytes: Uint8Array) => Promise<T>,
): Promise<T> {
  if (lengthBytes > MAX_HELD_BYTES) {
    throw new ConnectError(
      `the value has ${lengthBytes} bytes; at most ${MAX_HELD_BYTES} can be stored here`,
      Code.ResourceExhausted,
    );
  }
  const release = await takeMemory(lengthBytes);
  try {
    return await use(await readWhole(body, lengthBytes));
  } finally {
    release();
  }
}

async function readWhole(body: RequestBody, lengthBytes: number): Promise<Uint8Array> {
  const whole = new Uint8Array(lengthBytes);
  let filledBytes = 0;
  for await (const chunk of body) {
    if (filledBytes + chunk.length > lengthBytes) throw endsElsewhere(filledBytes + chunk.length, lengthBytes);
    whole.set(chunk, filledBytes);
    filledBytes += chunk.length;
  }
  if (filledBytes < lengthBytes) throw endsElsewhere(filledBytes, lengthBytes);
  return whole;
}

export function endsElsewhere(gotBytes: number, announcedBytes: number): ConnectError {
  return new ConnectError(`${gotBytes} bytes came; Content-Length says ${announcedBytes}`, Code.InvalidArgument);
}
