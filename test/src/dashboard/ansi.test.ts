import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AnsiReader, type StyledText } from "../../../src/dashboard/output/ansi.ts";

const encoder = new TextEncoder();

function read(text: string, cuts: readonly number[] = []): StyledText[] {
  const bytes = encoder.encode(text);
  const reader = new AnsiReader();
  const places = [0, ...[...cuts].sort((a, b) => a - b).map((cut) => Math.min(cut, bytes.length)), bytes.length];
  const pieces = places.slice(1).flatMap((place, index) => reader.read(bytes.subarray(places[index], place)));
  return joined([...pieces, ...reader.end()]);
}

/** Neighbours of one style as one. */
function joined(pieces: readonly StyledText[]): StyledText[] {
  const result: StyledText[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if (last?.style === piece.style) result[result.length - 1] = { ...last, text: last.text + piece.text };
    else result.push(piece);
  }
  return result;
}

test.each([
  ["plain", [{ text: "plain", style: "" }]],
  [
    "\u001b[31mred\u001b[39m not",
    [
      { text: "red", style: "ansi-fg-1" },
      { text: " not", style: "" },
    ],
  ],
  ["\u001b[1;4;92;41mall\u001b[m", [{ text: "all", style: "ansi-bold ansi-underline ansi-fg-10 ansi-bg-1" }]],
  [
    "\u001b[1mbold\u001b[22mplain",
    [
      { text: "bold", style: "ansi-bold" },
      { text: "plain", style: "" },
    ],
  ],
  ["\u001b[38;5;9mbright", [{ text: "bright", style: "ansi-fg-9" }]],
  ["\u001b[38;5;196mcube", [{ text: "cube", style: "ansi-fg-9" }]],
  ["\u001b[38;2;0;120;0mdark green", [{ text: "dark green", style: "ansi-fg-2" }]],
  ["\u001b[48;5;255mwhite", [{ text: "white", style: "ansi-bg-15" }]],
  [
    "a\u001b[2K\u001b[1Gb\u001b]8;;https://x.example\u001b\\link\u001b]0;title\u0007!",
    [{ text: "ablink!", style: "" }],
  ],
  ["one\r\ntwo\rthree", [{ text: "one\ntwo\nthree", style: "" }]],
  ["bell \u0007 null \0 delete \u007f", [{ text: "bell \u2407 null \u2400 delete \u2421", style: "" }]],
  ["\u001b[38;5m\u001b[999m\u001b[;;mstill", [{ text: "still", style: "" }]],
  ["cut off \u001b[3", [{ text: "cut off \u241b[3", style: "" }]],
])("%j", (text, pieces) => {
  expect(read(text)).toEqual(pieces);
});

const output = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "\u001b[31m",
        "\u001b[0m",
        "\u001b[1;42m",
        "\u001b[38;2;1;2;3m",
        "\u001b]0;t\u0007",
        "\r\n",
        "\r",
        "\u001b",
      ),
    ),
  )
  .map((parts) => parts.join("").toWellFormed());

describe("whatever comes", () => {
  test("it is read the same however it is cut", () => {
    fc.assert(
      fc.property(output, fc.array(fc.nat(200), { maxLength: 6 }), (text, cuts) => {
        expect(read(text, cuts)).toEqual(read(text));
      }),
    );
  });

  test("another reader goes on in the style of the one before", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(110), { maxLength: 8 }), (parameters) => {
        const first = new AnsiReader();
        first.read(encoder.encode(`\u001b[${parameters.join(";")}m`));
        const goneOn = first.read(encoder.encode("x"));
        expect(new AnsiReader(first.style).read(encoder.encode("x"))).toEqual(goneOn);
      }),
    );
  });

  test("no control character but the line's end and the tab is left", () => {
    fc.assert(
      fc.property(output, (text) => {
        // eslint-disable-next-line no-control-regex
        for (const piece of read(text)) expect(piece.text).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/);
      }),
    );
  });
});
