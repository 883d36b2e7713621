import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { FrameReader } from "./frames.ts";
import type { HeldRequest } from "./held-request.ts";

/**
 * The one message of a call that has one; the request stays held. Undefined where it is malformed, compressed, larger than
 * what is held, or the call is over before it is whole: those are left to the endpoint.
 */
export async function readMessage<M extends DescMessage>(
  request: HeldRequest,
  schema: M,
): Promise<MessageShape<M> | undefined> {
  const reader = new FrameReader(request.maxHeldBytes);
  try {
    for (let chunk = await request.next(); chunk !== undefined; chunk = await request.next()) {
      const [frame, ...more] = reader.push(chunk);
      if (frame === undefined) continue;
      return frame.flags === 0 && more.length === 0 && !reader.midFrame ? fromBinary(schema, frame.payload) : undefined;
    }
    return undefined;
  } catch {
    // The endpoint says what is wrong with it.
    return undefined;
  }
}
