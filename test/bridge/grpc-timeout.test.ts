import { expect, test } from "vitest";
import { formatGrpcTimeout, parseGrpcTimeout } from "../../bridge/grpc-timeout.ts";

test.each([
  ["1H", 3_600_000],
  ["2M", 120_000],
  ["99999999S", 99_999_999_000],
  ["0m", 0],
  ["1500u", 1.5],
  ["1000000n", 1],
])("%s is %d ms", (value, ms) => {
  expect(parseGrpcTimeout(value)).toBeCloseTo(ms);
});

test.each(["", "1", "S", "1s", "123456789S", "-1S", "1.5S", "1 S"])("%j is malformed", (value) => {
  expect(parseGrpcTimeout(value)).toBeUndefined();
});

test("a timeout is never rounded down, nor to nothing", () => {
  expect([0, 0.2, 1.01, 99_999_999, 1e8, 1e15].map(formatGrpcTimeout)).toEqual([
    "1m",
    "1m",
    "2m",
    "99999999m",
    "100000S",
    "99999999S",
  ]);
});
