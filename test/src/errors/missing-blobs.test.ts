import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { PreconditionFailureSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { SHA256 } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";
import { missingBlobsError } from "../../../src/errors/missing-blobs.ts";

const digests = [1, 2, 3, 4, 5].map((n) => parseDigest(SHA256, String(n).repeat(64), n));

test("every missing blob is a violation that clients understand, while the message stays short", () => {
  const error = missingBlobsError(digests);
  expect(error.code).toBe(Code.FailedPrecondition);
  expect(error.rawMessage).toContain(`blobs/${"1".repeat(64)}/1`);
  expect(error.rawMessage).toContain("and 2 more");
  const [detail] = error.details;
  expect(detail).toMatchObject({
    desc: PreconditionFailureSchema,
    value: {
      violations: digests.map(({ hash, sizeBytes }) => ({ type: "MISSING", subject: `blobs/${hash}/${sizeBytes}` })),
    },
  });
});

test("another code can be asked for", () => {
  expect(missingBlobsError(digests.slice(0, 1), Code.NotFound).code).toBe(Code.NotFound);
});
