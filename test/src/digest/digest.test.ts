import { create, fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DigestFunction_Value,
  DigestSchema,
  ExecuteRequestSchema,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { BLAKE3, DIGEST_FUNCTIONS, SHA1, SHA256 } from "../../../src/digest/digest-function.ts";
import {
  digestFromWire,
  digestKey,
  digestToWire,
  parseDigest,
  requestDigestFunction,
} from "../../../src/digest/digest.ts";

const HEX = "0123456789abcdef".split("");
const HASH = "0123456789abcdef".repeat(4);
const ALL = "sha256, blake3, sha1, sha384, sha512, md5";

const digestParts = fc.constantFrom(...DIGEST_FUNCTIONS).chain((digestFunction) =>
  fc.record({
    digestFunction: fc.constant(digestFunction),
    hash: fc.string({
      unit: fc.constantFrom(...HEX),
      minLength: digestFunction.hexLength,
      maxLength: digestFunction.hexLength,
    }),
    sizeBytes: fc.maxSafeNat(),
  }),
);

/** The error that `act` ends with: its code, and its message without the code that Connect puts before it. */
function refusal(act: () => unknown): { code: Code; message: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof ConnectError) return { code: error.code, message: error.rawMessage };
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("parseDigest", () => {
  test("keeps what it is given", () => {
    fc.assert(
      fc.property(digestParts, ({ digestFunction, hash, sizeBytes }) => {
        const parts = { digestFunction, hash, sizeBytes };
        expect(parseDigest(digestFunction, hash, sizeBytes)).toEqual(parts);
        expect(parseDigest(digestFunction, hash, BigInt(sizeBytes))).toEqual(parts);
      }),
    );
  });

  test.each([
    ["too short", HASH.slice(1)],
    ["too long", `${HASH}0`],
    ["upper case", HASH.toUpperCase()],
    ["not hex", `g${HASH.slice(1)}`],
    ["a path", `../${HASH.slice(3)}`],
    ["with a line end", `${HASH.slice(1)}\n`],
    ["other digits", `٣${HASH.slice(1)}`],
    ["empty", ""],
  ])("refuses a hash that is %s", (_, hash) => {
    expect(refusal(() => parseDigest(SHA256, hash, 1))).toEqual({
      code: Code.InvalidArgument,
      message: `digest hash "${hash}" is not 64 lower-case hex digits, as sha256 needs`,
    });
  });

  test("refuses a hash with one wrong character, wherever it is", () => {
    fc.assert(
      fc.property(fc.nat(HASH.length - 1), fc.integer({ min: 0, max: 0xffff }), (position, code) => {
        const wrong = String.fromCharCode(code);
        fc.pre(!HEX.includes(wrong));
        const hash = HASH.slice(0, position) + wrong + HASH.slice(position + 1);
        expect(refusal(() => parseDigest(SHA256, hash, 1)).code).toBe(Code.InvalidArgument);
      }),
    );
  });

  test("shows no more of a long hash than is needed to recognise it", () => {
    expect(refusal(() => parseDigest(SHA256, "a".repeat(1_000_000), 1)).message.length).toBeLessThan(300);
  });

  test.each([-1n, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 0.5, Number.NaN])("refuses the size %s", (sizeBytes) => {
    expect(refusal(() => parseDigest(SHA256, HASH, sizeBytes))).toEqual({
      code: Code.InvalidArgument,
      message: `digest ${HASH} has size ${sizeBytes}; a size is an integer from 0 to 2^53-1`,
    });
  });

  test.each([0n, 2n ** 53n - 1n])("takes the size %s", (sizeBytes) => {
    expect(parseDigest(SHA256, HASH, sizeBytes).sizeBytes).toBe(Number(sizeBytes));
  });
});

describe("on the wire", () => {
  test("a digest comes back as it went", () => {
    fc.assert(
      fc.property(digestParts, ({ digestFunction, hash, sizeBytes }) => {
        const digest = parseDigest(digestFunction, hash, sizeBytes);
        expect(digestFromWire(digestFunction, digestToWire(digest), "digest")).toEqual(digest);
      }),
    );
  });

  test("one that is not set is refused by the name of its field", () => {
    expect(refusal(() => digestFromWire(SHA256, undefined, "action_digest"))).toEqual({
      code: Code.InvalidArgument,
      message: "action_digest is not set",
    });
  });

  test("a malformed one is refused", () => {
    const wire = create(DigestSchema, { hash: "abc", sizeBytes: 1n });
    expect(refusal(() => digestFromWire(SHA256, wire, "action_digest")).code).toBe(Code.InvalidArgument);
  });
});

describe("digestKey", () => {
  test("names function, hash and size", () => {
    expect(digestKey(parseDigest(SHA256, HASH, 42))).toBe(`sha256/${HASH}/42`);
  });

  test("is equal for equal digests only", () => {
    fc.assert(
      fc.property(digestParts, digestParts, (a, b) => {
        const same = a.digestFunction === b.digestFunction && a.hash === b.hash && a.sizeBytes === b.sizeBytes;
        const key = ({ digestFunction, hash, sizeBytes }: typeof a): string =>
          digestKey(parseDigest(digestFunction, hash, sizeBytes));
        expect(key(a) === key(b)).toBe(same);
        expect(key(a)).toBe(key({ ...a }));
      }),
    );
  });
});

describe("requestDigestFunction", () => {
  test("is the one that the request names", () => {
    expect(requestDigestFunction(DigestFunction_Value.SHA256, HASH)).toBe(SHA256);
  });

  test("follows from the length of the hash where the request names none", () => {
    expect(requestDigestFunction(DigestFunction_Value.UNKNOWN, HASH)).toBe(SHA256);
  });

  test("is never guessed to be BLAKE3, which REAPI has requests name", () => {
    expect(requestDigestFunction(DigestFunction_Value.UNKNOWN, HASH, [BLAKE3, SHA256])).toBe(SHA256);
    expect(requestDigestFunction(DigestFunction_Value.UNKNOWN, undefined, [BLAKE3, SHA1])).toBe(SHA1);
    expect(refusal(() => requestDigestFunction(DigestFunction_Value.UNKNOWN, HASH, [BLAKE3, SHA1])).code).toBe(
      Code.InvalidArgument,
    );
    expect(requestDigestFunction(DigestFunction_Value.BLAKE3, HASH)).toBe(BLAKE3);
  });

  test("is the instance's first where the request has no digest either", () => {
    expect(requestDigestFunction(DigestFunction_Value.UNKNOWN, undefined)).toBe(SHA256);
  });

  test.each([
    ["one that is not implemented", DigestFunction_Value.VSO, HASH, "VSO"],
    ["a length that no function has", DigestFunction_Value.UNKNOWN, "abc", "of a hash of 3 characters"],
  ])("refuses %s, and says what is accepted", (_, value, hash, what) => {
    expect(refusal(() => requestDigestFunction(value, hash))).toEqual({
      code: Code.InvalidArgument,
      message: `digest function ${what} is not accepted here; accepted: ${ALL}`,
    });
  });

  test("refuses a function that the instance does not allow", () => {
    expect(refusal(() => requestDigestFunction(DigestFunction_Value.SHA256, HASH, [])).code).toBe(Code.InvalidArgument);
  });

  test("refuses a number that is no function", () => {
    // The tag of digest_function and a number that REAPI has not given out: enums are open on the wire.
    const { digestFunction } = fromBinary(ExecuteRequestSchema, Uint8Array.of(0x48, 99));
    expect(refusal(() => requestDigestFunction(digestFunction, HASH))).toEqual({
      code: Code.InvalidArgument,
      message: `digest function number 99 is not accepted here; accepted: ${ALL}`,
    });
  });
});
