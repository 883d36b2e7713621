import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReadResponseSchema } from "../../../protos/gen/google/bytestream/bytestream_pb.ts";
import { frameInPlace } from "../../../src/byte-stream/frame-in-place.ts";

test("a frame made in place is the frame that the libraries make", () => {
  const sizes = fc.oneof(fc.nat(1000), fc.nat(300_000), fc.constantFrom(1, 127, 128, 16_383, 16_384, (1 << 21) - 1));
  fc.assert(
    fc.property(sizes, fc.integer({ min: 9, max: 20 }), fc.nat(255), (size, headroom, fill) => {
      const data = new Uint8Array(new ArrayBuffer(headroom + size), headroom).fill(fill);
      const expected = encodeEnvelope(0, toBinary(ReadResponseSchema, create(ReadResponseSchema, { data })));
      if (size > 0) expect(Buffer.from(frameInPlace(data)).equals(expected)).toBe(true);
    }),
  );
});
