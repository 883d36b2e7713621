import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Parses bytes that somebody else made.
 * @param what they are, for the message, e.g. `directory sha256/…`
 * @throws ConnectError INVALID_ARGUMENT if they are no such message.
 */
export function parseMessage<T extends DescMessage>(type: T, bytes: Uint8Array, what: string): MessageShape<T> {
  try {
    return fromBinary(type, bytes);
  } catch (error) {
    const { name } = type;
    throw new ConnectError(
      `${what} is not ${/^[AEIOU]/.test(name) ? "an" : "a"} ${name} message`,
      Code.InvalidArgument,
      undefined,
      undefined,
      error,
    );
  }
}
