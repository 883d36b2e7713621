import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  Compressor_Value,
  ContentAddressableStorage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { ByteStream, WriteRequestSchema } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { blobOf } from "../../e2e/action.ts";
import { call, callWithFrames } from "../call.ts";
import { concatenate } from "../generators/corruptions.ts";
import { envelope } from "../generators/envelopes.ts";
import { hostileZstd } from "../generators/zstd.ts";
import { randomBytes } from "../generators/hostile-values.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import { Violation } from "../violation.ts";
import type { Target } from "../target.ts";
import { INSTANCE } from "../world.ts";

const PIECE_BYTES = 64 << 10;

/** Uploads of zstd that is not what it says, by ByteStream and in batches. None of them may be stored. */
export const compressedBlobs: Target = {
  name: "compressed blobs",
  cases: 40,
  atOnce: 4,
  async run(random, world) {
    const { bytes, claimedBytes, what } = hostileZstd(random);
    const { hash } = blobOf(randomBytes(random, 16)).digest;
    const digest = { hash, sizeBytes: BigInt(claimedBytes) };

    const resourceName = `${INSTANCE}/uploads/${randomUUID()}/compressed-blobs/zstd/${hash}/${claimedBytes}`;
    const frames: Uint8Array[] = [];
    for (let offset = 0; offset === 0 || offset < bytes.length; offset += PIECE_BYTES) {
      const data = bytes.subarray(offset, offset + PIECE_BYTES);
      const finishWrite = offset + PIECE_BYTES >= bytes.length;
      const message = create(WriteRequestSchema, { resourceName, writeOffset: BigInt(offset), data, finishWrite });
      frames.push(envelope(toBinary(WriteRequestSchema, message)));
    }
    const written = await callWithFrames(world, ByteStream.method.write, concatenate(...frames));
    checkAnswer(written, REFUSALS, `Write of ${what}`);
    if (written.code === "OK") throw new Violation(`${what} was taken for a blob of ${claimedBytes} bytes`);

    const requests = [{ digest, data: bytes.subarray(0, 3 << 20), compressor: Compressor_Value.ZSTD }];
    const batch = { instanceName: INSTANCE, requests };
    checkAnswer(
      await call(world, ContentAddressableStorage.method.batchUpdateBlobs, batch),
      REFUSALS,
      `batch of ${what}`,
    );

    const lookUp = { instanceName: INSTANCE, digests: [digest] };
    const { code } = await call(world, ContentAddressableStorage.method.batchReadBlobs, lookUp);
    if (code !== "OK") throw new Violation(`BatchReadBlobs answers ${code}`);
    return what;
  },
};
