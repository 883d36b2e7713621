import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameError, TRAILERS_FLAG } from "../../bridge/frames.ts";
import { TrailerSplitter } from "../../bridge/trailer-splitter.ts";
import {
  codeOf,
  encodeStatusMessage,
  fitTrailers,
  parseTrailers,
  statusTrailers,
  withPlainMessage,
} from "../../bridge/trailers.ts";
import { cut } from "./chunks.ts";

const parse = (text: string) => parseTrailers(Buffer.from(text, "latin1"));

describe("a trailer frame", () => {
  test("is a block of header lines, whose names become lower case", () => {
    expect(parse("Grpc-Status: 5\r\ngrpc-message:not there\r\nx-a-bin:  AAE=  \r\n")).toEqual({
      "grpc-status": "5",
      "grpc-message": "not there",
      "x-a-bin": "AAE=",
    });
  });

  test("may lack the last line's end", () => {
    expect(parse("grpc-status: 0")).toEqual({ "grpc-status": "0" });
  });

  test("joins the values of one name", () => {
    expect(parse("grpc-status: 0\r\nx-a: 1\r\nx-a: 2\r\n")["x-a"]).toBe("1, 2");
  });

  test("loses headers that are about the connection, which HTTP/2 forbids", () => {
    expect(parse("grpc-status: 0\r\nconnection: close\r\ntransfer-encoding: chunked\r\n")).toEqual({
      "grpc-status": "0",
    });
  });

  test("without a grpc-status means UNKNOWN", () => {
    expect(codeOf(parse("x-a: 1\r\n"))).toBe(Code.Unknown);
  });

  test.each(["no colon", "bad name: 1", ": 1", "x-a: \0", "grpc-status: 0\nx-b: 1"])(
    "is refused if it is %j",
    (text) => {
      expect(() => parse(text)).toThrow(FrameError);
    },
  );
});

test.each([
  ["0", undefined],
  ["5", Code.NotFound],
  ["16", Code.Unauthenticated],
  ["17", Code.Unknown],
  ["-1", Code.Unknown],
  ["", Code.Unknown],
  ["0, 0", Code.Unknown],
])("the status of grpc-status %j", (status, code) => {
  expect(codeOf({ "grpc-status": status })).toBe(code);
});

test("a message is percent-encoded so that any decoder gives it back", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (message) => {
      const encoded = encodeStatusMessage(message);
      expect(encoded).toMatch(/^[\x20-\x7e]*$/);
      expect(decodeURIComponent(encoded)).toBe(message);
    }),
  );
});

test.each([
  ["a%3A%20b%2Fc%3B%2C", "a: b/c;,"],
  ["50%25 of %C3%BC", "50%25 of %C3%BC"],
  ["plain", "plain"],
  ["50% of it", "50% of it"],
])("a message that comes as %j goes on as %j", (came, goes) => {
  const trailers = { "grpc-status": "5", "grpc-message": came };

  expect(withPlainMessage(trailers)).toEqual({ "grpc-status": "5", "grpc-message": goes });
});

describe("trailers that a client has no room for", () => {
  const trailers = {
    ...statusTrailers(Code.FailedPrecondition, "blobs are missing: ü"),
    "grpc-status-details-bin": "A".repeat(1000),
    "x-custom": "B".repeat(200),
  };

  test("are untouched where there is room", () => {
    expect(fitTrailers(trailers, 2000)).toBe(trailers);
  });

  test("first lose their details", () => {
    const fitted = fitTrailers(trailers, 500);
    expect(Object.keys(fitted)).toEqual(["grpc-status", "grpc-message", "x-custom"]);
  });

  test("then all but the status and what fits of its message, cut between characters", () => {
    const room = 32 * 2 + "grpc-status9grpc-message".length;
    expect(fitTrailers(trailers, room + "blobs are missing: %C3%".length)).toEqual({
      "grpc-status": "9",
      "grpc-message": "blobs are missing: %C3",
    });
    expect(fitTrailers(trailers, 10)).toEqual({ "grpc-status": "9", "grpc-message": "" });
  });
});

describe("the splitter", () => {
  const messages = Buffer.concat([encodeFrame(Buffer.from("one")), encodeFrame(Buffer.from("two"))]);
  const trailer = encodeFrame(Buffer.from("grpc-status: 3\r\n"), TRAILERS_FLAG);

  test("parts messages and trailers, whatever the chunks", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 10 }), (places) => {
        const splitter = new TrailerSplitter(100);
        const passed = cut(Buffer.concat([messages, trailer]), places).map((chunk) => splitter.push(chunk));
        expect(Buffer.concat(passed)).toEqual(messages);
        expect(splitter.trailers).toEqual({ "grpc-status": "3" });
      }),
    );
  });

  test("has no trailers before their frame is whole", () => {
    const splitter = new TrailerSplitter(100);
    splitter.push(Buffer.concat([messages, trailer.subarray(0, -1)]));
    expect(splitter.trailers).toBeUndefined();
  });

  test("refuses trailers above its limit, compressed ones of no known encoding, and anything after them", () => {
    expect(() => new TrailerSplitter(3).push(trailer)).toThrow(/at most 3/);
    expect(() => new TrailerSplitter(100).push(encodeFrame(new Uint8Array(3), 0x81))).toThrow(/compressed/);
    expect(() => new TrailerSplitter(100).push(Buffer.concat([trailer, trailer]))).toThrow(/after the trailers/);
  });
});
