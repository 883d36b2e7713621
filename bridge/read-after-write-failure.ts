import type { Duplex } from "node:stream";

type Callback = (error?: Error | null) => void;

/** What a write reports once the other side reads no more. */
const NO_LONGER_READ: ReadonlySet<unknown> = new Set(["ECONNABORTED", "ECONNRESET", "EPIPE"]);

/**
 * Lets what the peer has said be read, though it reads no more. An HTTP/1.1 server may answer an upload early and close
 * the connection with the rest unread (workerd does). Node would destroy the socket when the next write fails, and with
 * it the answer, which is then still in the kernel's buffer. Here such a write just never completes, which holds back
 * the writer; the end of what can be read, or an error, is what ends the socket.
 */
export function readAfterWriteFailure(socket: Duplex): void {
  const unlessNoLongerRead = (callback: Callback): Callback => {
    return (error) => {
      if (error == null || !("code" in error) || !NO_LONGER_READ.has(error.code)) {
        callback(error);
      }
    };
  };
  const write = socket._write.bind(socket);
  socket._write = (chunk, encoding, callback) => {
    write(chunk, encoding, unlessNoLongerRead(callback));
  };
  const writev = socket._writev?.bind(socket);
  if (writev !== undefined) {
    socket._writev = (chunks, callback) => {
      writev(chunks, unlessNoLongerRead(callback));
    };
  }
}
