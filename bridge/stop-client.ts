import { constants, type ServerHttp2Stream } from "node:http2";

/** How long a client that goes on sending after the end, or doesn't read on after its deadline, has until it is reset. */
const LINGER_MS = 5000;

/**
 * The response is complete: what a client still sends is thrown away. Clients stop by themselves when they see the end; a
 * reset at once would overtake it. Unread, what they have sent would keep the stream from ever closing.
 */
export function stopClient(stream: ServerHttp2Stream): void {
  stream.resume();
  if (!stream.readableEnded) resetLater(stream, constants.NGHTTP2_NO_ERROR);
}

/** Resets the stream unless it closes by itself in a while. */
export function resetLater(stream: ServerHttp2Stream, errorCode: number): void {
  const timer = setTimeout(() => {
    stream.close(errorCode);
  }, LINGER_MS);
  stream.once("close", () => {
    clearTimeout(timer);
  });
}
