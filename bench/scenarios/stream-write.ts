import { writeStream } from "../fixtures/upload.ts";
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
    baseline: "raw R2 put",
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
