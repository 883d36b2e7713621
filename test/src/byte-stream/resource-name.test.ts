import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  blobResourceName,
  digestOfName,
  parseReadName,
  parseUploadName,
} from "../../../src/byte-stream/resource-name.ts";
import { DIGEST_FUNCTIONS, SHA256 } from "../../../src/digest/digest-function.ts";
import { parseDigest } from "../../../src/digest/digest.ts";

const HASH = "0123456789abcdef".repeat(4);

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.InvalidArgument) return error.rawMessage;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** An instance name as the configuration allows it: no segment is a keyword of resource names. */
const instanceName = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_.-]{1,12}$/), { maxLength: 3 })
  .filter((segments) => !segments.some((s) => ["blobs", "uploads", "compressed-blobs"].includes(s)))
  .map((segments) => segments.join("/"));

const digest = fc
  .record({ hash: fc.stringMatching(/^[0-9a-f]{64}$/), sizeBytes: fc.maxSafeNat() })
  .map(({ hash, sizeBytes }) => parseDigest(SHA256, hash, sizeBytes));

const functionSegment = fc.constantFrom("", "sha256/");

describe("a read name", () => {
  test("gives back what it was made from", () => {
    fc.assert(
      fc.property(instanceName, functionSegment, digest, (instance, named, { hash, sizeBytes }) => {
        const name = parseReadName(`${instance === "" ? "" : `${instance}/`}blobs/${named}${hash}/${sizeBytes}`);
        expect(name.instanceName).toBe(instance);
        expect(name.compressor).toBeUndefined();
        expect(digestOfName(name, DIGEST_FUNCTIONS)).toEqual(parseDigest(SHA256, hash, sizeBytes));
      }),
    );
  });

  test("may ask for a compressor", () => {
    const name = parseReadName(`main/compressed-blobs/zstd/${HASH}/7`);
    expect(name).toMatchObject({ instanceName: "main", compressor: "zstd", hash: HASH, sizeBytes: "7" });
  });

  test.each([
    ["", "nothing"],
    ["main", "no keyword"],
    ["main/blobs", "no hash"],
    [`main/blobs/${HASH}`, "no size"],
    [`main/blobs/${HASH}/-1`, "a negative size"],
    [`main/blobs/${HASH}/1e3`, "a size that is no integer"],
    [`main/blobs/${HASH}/12345678901234567`, "a size of 17 digits"],
    [`main/blobs/${HASH}/7/more`, "something after the size"],
    [`main/compressed-blobs/${HASH}/7`, "no compressor"],
    ["/".repeat(5000), "slashes only"],
  ])("is refused with the form that is expected: %s (%s)", (name) => {
    const message = messageOf(() => parseReadName(name));
    expect(message).toContain("expected {instance_name}/blobs/");
    expect(message.length).toBeLessThan(700);
  });

  test("is refused where the digest is malformed or its function unknown", () => {
    const refuse = (name: string) => messageOf(() => digestOfName(parseReadName(name), DIGEST_FUNCTIONS));
    expect(refuse(`main/blobs/${HASH.slice(1)}/7`)).toContain("digest function");
    expect(refuse(`main/blobs/${HASH.toUpperCase()}/7`)).toContain("lower-case");
    expect(refuse(`main/blobs/${HASH}/9007199254740993`)).toContain("2^53-1");
    expect(refuse(`main/blobs/vso/${HASH}/7`)).toContain("vso is not accepted here; accepted: sha256");
  });

  test("never fails in another way", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.string()).map((parts) => parts.join("/blobs/")),
        ),
        (text) => {
          try {
            digestOfName(parseReadName(text), DIGEST_FUNCTIONS);
          } catch (error) {
            expect(error).toBeInstanceOf(ConnectError);
          }
        },
      ),
    );
  });
});

describe("an upload name", () => {
  test("gives back what it was made from, whatever metadata follow", () => {
    const metadata = fc.array(fc.string()).map((parts) => parts.map((part) => `/${part}`).join(""));
    fc.assert(
      fc.property(instanceName, fc.uuid(), functionSegment, digest, metadata, (instance, uuid, named, blob, more) => {
        const before = instance === "" ? "" : `${instance}/`;
        const name = parseUploadName(`${before}uploads/${uuid}/blobs/${named}${blob.hash}/${blob.sizeBytes}${more}`);
        expect(name).toMatchObject({ instanceName: instance, clientUploadId: uuid });
        expect(digestOfName(name, DIGEST_FUNCTIONS)).toEqual(blob);
      }),
    );
  });

  test("may be of a compressed upload", () => {
    const name = parseUploadName(`uploads/u/compressed-blobs/zstd/sha256/${HASH}/7`);
    expect(name).toMatchObject({
      instanceName: "",
      clientUploadId: "u",
      compressor: "zstd",
      digestFunctionName: "sha256",
    });
  });

  test.each([
    `main/blobs/${HASH}/7`,
    "main/uploads",
    `main/uploads//blobs/${HASH}/7`,
    `main/uploads/u/${HASH}/7`,
    `main/uploads/u/blobs/${HASH}`,
    `main/uploads/u/compressed-blobs/zstd/${HASH}`,
  ])("is refused with the form that is expected: %s", (name) => {
    expect(messageOf(() => parseUploadName(name))).toContain("expected {instance_name}/uploads/{uuid}/blobs/");
  });
});

test("error details name the function only where the hash does not give it away", () => {
  expect(blobResourceName(parseDigest(SHA256, HASH, 7))).toBe(`blobs/${HASH}/7`);
});
