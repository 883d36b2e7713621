import { Code, ConnectError } from "@connectrpc/connect";
import { digestKey } from "../digest/digest.ts";
import type { BlobUpload } from "./blob-store.ts";

/** INVALID_ARGUMENT: ByteStream wants the first write_offset to be what QueryWriteStatus says, and 0 begins anew. */
export function wrongOffsetError({ digest }: BlobUpload, offsetBytes: number, committedBytes: number): ConnectError {
  return new ConnectError(
    `upload of blob ${digestKey(digest)} can't go on at write_offset ${offsetBytes}: ` +
      `${committedBytes} bytes are committed; resume there or start again at 0`,
    Code.InvalidArgument,
  );
}
