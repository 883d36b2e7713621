import { expect, test } from "vitest";
import {
  dollarText,
  durationText,
  shareText,
  shortened,
  sizeText,
  timeText,
} from "../../../src/dashboard/parts/text.ts";

test.each([
  [0, "0 ms"],
  [0.4, "0 ms"],
  [-5, "0 ms"],
  [84, "84 ms"],
  [999.6, "1.00 s"],
  [1240, "1.24 s"],
  [59_900, "59.9 s"],
  [59_999, "1 min"],
  [192_000, "3 min 12 s"],
  [1_200_000, "20 min"],
  [7_500_000, "2 h 5 min"],
])("%d ms are %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [150 * 1024, "150 KiB"],
  [3.5 * 2 ** 30, "3.5 GiB"],
])("%d bytes are %s", (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test.each([
  [0, "$0"],
  [12.345, "$12.35"],
  [0.5, "$0.50"],
  [0.012, "$0.012"],
  [0.0000065, "$0.0000065"],
])("%d dollars are %s", (usd, text) => {
  expect(dollarText(usd)).toBe(text);
});

test("shares, times and long names", () => {
  expect([0, 0.001, 0.333, 1].map(shareText)).toEqual(["0 %", "<1 %", "33 %", "100 %"]);
  const atMs = Date.UTC(2026, 10, 25, 9, 5, 7);
  expect(timeText(atMs, atMs + 1000)).toBe("09:05:07 UTC");
  expect(timeText(atMs, atMs + 86_400_000)).toBe("2026-11-25 09:05:07 UTC");
  expect(shortened("//a/very/long:name", 10)).toBe("…long:name");
});
