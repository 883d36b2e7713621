import { expect, test } from "vitest";
import { DigestFunction_Value } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { DIGEST_FUNCTIONS, digestFunctionByName } from "../../../src/digest/digest-function.ts";
import { startHash } from "../../../src/digest/verify.ts";

test.each(DIGEST_FUNCTIONS)("$name is REAPI's name and number, in lower case, with the hash's length", (candidate) => {
  expect(DigestFunction_Value[candidate.value].toLowerCase()).toBe(candidate.name);
  expect(startHash(candidate).digest("hex")).toHaveLength(candidate.hexLength);
});

test("no two functions share a name or a number", () => {
  expect(new Set(DIGEST_FUNCTIONS.map(({ name }) => name)).size).toBe(DIGEST_FUNCTIONS.length);
  expect(new Set(DIGEST_FUNCTIONS.map(({ value }) => value)).size).toBe(DIGEST_FUNCTIONS.length);
});

test("a function is found by its lower-case name alone", () => {
  for (const candidate of DIGEST_FUNCTIONS) expect(digestFunctionByName(candidate.name)).toBe(candidate);
  for (const name of ["SHA256", "sha-256", "", "constructor", "vso"])
    expect(digestFunctionByName(name)).toBeUndefined();
});
