import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { ByteStream, ReadRequestSchema, ReadResponseSchema } from "../../protos/gen/google/bytestream/bytestream_pb.ts";
import { type Caller, encode } from "../calls/caller.ts";
import type { StreamedBlob } from "../fixtures/blobs.ts";
import { readResourceName, writeStream } from "../fixtures/upload.ts";
import { type Operation, WrongAnswer } from "../load/closed-loop.ts";
import { partSizeFor } from "../../src/blob-store/part-size.ts";
import type { Scale, Scenario } from "./scenario.ts";
import type { StreamSize } from "./stream-size.ts";

/** How many different blobs are read in turn, where they are small. */
const BLOBS = 16;

/** Reads a blob. */
export function streamRead(scale: Scale, size: StreamSize): Scenario {
  const sizeBytes = scale.bytes(size.sizeBytes);
  return {
    name: `stream-read-${size.name}`,
    operation: `ByteStream.Read of a blob of ${sizeBytes} bytes`,
    concurrency: size.concurrency,
    operations: scale.operations(size.operations),
    blobs: 1,
    bytes: sizeBytes,
    // What the server itself does with blobs of that size is the fairer comparison; one get is the physical limit.
    baselines: [
      "raw R2 get",
      ...(size.sizeBytes > partSizeFor(size.sizeBytes) ? ["raw R2 multipart get" as const] : []),
    ],
    direct: true,
    async prepare({ caller, instanceName, blobs }) {
      const stored = Array.from({ length: Math.min(BLOBS, size.operations) }, () => blobs.streamed(sizeBytes));
      for (const blob of stored) await writeStream(caller, instanceName, blob);
      const reads = stored.map((blob) => readOf(instanceName, blob));
      return {
        operations: (caller, operations) =>
          Array.from({ length: operations }, (_, i) => {
            const read = reads[i % reads.length];
            if (read === undefined) throw new Error("there is a blob for each operation");
            return read(caller);
          }),
      };
    },
  };
}

/** Reads a blob whole. Its hash is checked the first time, which is in the warm-up; later only its size. */
export function readOf(instanceName: string, { digest }: Pick<StreamedBlob, "digest">): (caller: Caller) => Operation {
  const request = encode(ReadRequestSchema, { resourceName: readResourceName(instanceName, { digest }) });
  let verified = false;
  return (caller) => async () => {
    const hasher = verified ? undefined : createHash("sha256");
    let bytes = 0n;
    for await (const answer of caller.serverStream(ByteStream.method.read, request)) {
      const { data } = fromBinary(ReadResponseSchema, answer);
      hasher?.update(data);
      bytes += BigInt(data.length);
    }
    return () => {
      if (bytes !== digest.sizeBytes) throw new WrongAnswer(`${bytes} of ${digest.sizeBytes} bytes read`);
      if (hasher !== undefined && hasher.digest("hex") !== digest.hash) throw new WrongAnswer("other bytes read");
      verified = true;
    };
  };
}
