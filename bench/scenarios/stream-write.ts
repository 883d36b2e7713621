import { writeStream } from "../fixtures/upload.ts";
import { partSizeFor } from "../../src/blob-store/part-size.ts";
import type { Scale, Scenario } from "./scenario.ts";
import type { StreamSize } from "./stream-size.ts";

/** Stores a blob that the server does not have, in messages of 64 KiB. */
export function streamWrite(scale: Scale, size: StreamSize): Scenario {
  const sizeBytes = scale.bytes(size.sizeBytes);
  return {
    name: `stream-write-${size.name}`,
    operation: `ByteStream.Write of a new blob of ${sizeBytes} bytes`,
    concurrency: size.concurrency,
    operations: scale.operations(size.operations),
    blobs: 1,
    bytes: sizeBytes,
    // What the server itself does with blobs of that size is the fairer comparison; one put is the physical limit.
    baselines: [
      "raw R2 put",
      ...(size.sizeBytes > partSizeFor(size.sizeBytes) ? ["raw R2 multipart put" as const] : []),
    ],
    direct: true,
    prepare({ instanceName, blobs }) {
      return Promise.resolve({
        operations: (caller, operations) =>
          Array.from({ length: operations }, () => {
            const blob = blobs.streamed(sizeBytes);
            return async () => {
              await writeStream(caller, instanceName, blob);
              return undefined;
            };
          }),
      });
    },
  };
}
