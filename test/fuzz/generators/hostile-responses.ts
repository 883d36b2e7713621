import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { concatenate } from "./corruptions.ts";
import { envelope } from "./envelopes.ts";
import { randomBytes } from "./hostile-values.ts";

/** A way in which an endpoint answers that is none, or a bad one. */
export interface HostileResponse {
  readonly what: string;
  /** Whether it says some status of its own: then a client may get that one. */
  readonly hasStatus: boolean;
  /** Whether nothing but the call's deadline may end it. */
  readonly isEndless: boolean;
  answer(response: ServerResponse): void;
}

const CONTENT_TYPES = [
  "text/html",
  "application/json",
  "application/grpc",
  "application/grpc-web-text+proto",
  "application/proto",
  "",
  "x",
];
const BODILESS = [204, 205, 304];
const STATUSES = [201, ...BODILESS, 206, 301, 302, 307, 400, 401, 403, 404, 413, 418, 429, 500, 502, 503, 504, 599];
const STATUS_VALUES = ["0", "1", "5", "14", "16", "17", "-1", "abc", "", "0, 5", "99999999999999999999"];
const PAD = "x".repeat(60_000);

type Generator = (
  random: Random,
) => Omit<HostileResponse, "what" | "hasStatus" | "isEndless"> &
  Partial<Pick<HostileResponse, "hasStatus" | "isEndless">>;

const GENERATORS: Readonly<Record<string, Generator>> = {
  garbage: (random) => ends(randomBytes(random, random.between(1, 2000))),
  "a huge length": () => ends(envelope(new Uint8Array(100), 0, 0xffffffff)),
  "trailers of a huge length": () => ends(envelope(new Uint8Array(100), 0x80, 0xffffffff)),
  "no trailers": (random) => ends(messages(random)),
  "a cut body": (random) => ({
    answer(response) {
      response.writeHead(200, { "content-type": contentTypeOf(response), "content-length": 100_000 });
      response.write(messages(random), () => {
        if (random.chance(0.5)) response.destroy();
        else response.socket?.resetAndDestroy();
      });
    },
  }),
  "trailers and no end": (random) => ({
    hasStatus: true,
    answer(response) {
      response.writeHead(200, { "content-type": contentTypeOf(response) });
      response.write(concatenate(messages(random), trailers(random)));
    },
  }),
  "a status in the head and no end": (random) => ({
    hasStatus: true,
    answer(response) {
      response.writeHead(200, {
        "content-type": contentTypeOf(response),
        "grpc-status": random.pick(STATUS_VALUES) ?? "",
      });
      response.flushHeaders();
    },
  }),
  "a status in the head and messages without end": (random) => ({
    hasStatus: true,
    isEndless: true,
    answer(response) {
      response.writeHead(500, {
        "content-type": contentTypeOf(response),
        "grpc-status": random.pick(STATUS_VALUES) ?? "",
      });
      pour(response, envelope(new Uint8Array(10_000)));
    },
  }),
  "more after the trailers": (random) => ({
    ...ends(concatenate(trailers(random), messages(random), trailers(random))),
    hasStatus: true,
  }),
  "another content type": (random) => ({
    answer(response) {
      const contentType = random.pick(CONTENT_TYPES) ?? "";
      response.writeHead(200, contentType === "" ? {} : { "content-type": contentType });
      if (random.chance(0.5)) pour(response, new Uint8Array(10_000));
      else response.end(messages(random));
    },
  }),
  "messages without end": () => ({
    isEndless: true,
    answer(response) {
      response.writeHead(200, { "content-type": contentTypeOf(response) });
      pour(response, envelope(new Uint8Array(30_000)));
    },
  }),
  "a message without end": () => ({
    isEndless: true,
    answer(response) {
      response.writeHead(200, { "content-type": contentTypeOf(response) });
      response.write(envelope(new Uint8Array(0), 0, 0xffffffff));
      pour(response, new Uint8Array(64_000));
    },
  }),
  "trailers without end": () => ({
    answer(response) {
      response.writeHead(200, { "content-type": contentTypeOf(response) });
      response.write(envelope(new Uint8Array(0), 0x80, 250_000));
      pour(response, new Uint8Array(64_000).fill(0x61));
    },
  }),
  "another HTTP status": (random) => ({
    answer(response) {
      const status = random.pick(STATUSES) ?? 500;
      response.writeHead(status, { location: "http://127.0.0.1:1/", "content-type": contentTypeOf(response) });
      if (random.chance(0.3) && !BODILESS.includes(status)) pour(response, new Uint8Array(10_000));
      else response.end(messages(random));
    },
  }),
  "a reset": (random) => ({
    answer(response) {
      if (random.chance(0.5)) response.socket?.resetAndDestroy();
      else response.destroy();
    },
  }),
  "no HTTP": (random) => ({
    answer({ socket }) {
      socket?.end(
        random.pick([
          randomBytes(random, 100),
          "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
          "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000),
          "HTTP/9.9 200 OK\r\n\r\n",
          "HTTP/1.1 999999 X\r\n\r\n",
          `HTTP/1.1 200 OK\r\nx: ${"y".repeat(400_000)}\r\n\r\n`,
          "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
          "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ]) ?? "",
      );
    },
  }),
  "hostile headers": (random) => ({
    hasStatus: true,
    answer(response) {
      const name = random.pick([
        "x-a",
        "__proto__",
        "x-bin",
        "grpc-message",
        "grpc-status-details-bin",
        "status",
        "te",
      ]);
      const value = random.pick(["", "\u00ff\u0080", "%zz%", "!!!", PAD, "a, b"]);
      const headers = Object.fromEntries([
        ["content-type", contentTypeOf(response)],
        [name ?? "x", value ?? ""],
      ]);
      if (random.chance(0.3)) for (let count = 0; count < 3; count += 1) headers[`x-pad-${count}`] = PAD;
      if (random.chance(0.3)) headers["grpc-status"] = random.pick(STATUS_VALUES) ?? "";
      response.writeHead(200, headers);
      response.end(random.chance(0.5) ? undefined : concatenate(messages(random), trailers(random)));
    },
  }),
  "hostile trailers": (random) => ({
    ...ends(concatenate(messages(random), hostileTrailers(random))),
    hasStatus: true,
  }),
  "compressed trailers": (random) => ({
    hasStatus: true,
    answer(response) {
      const encoding = random.pick(["gzip", "zstd", "br", "deflate", "x", ""]) ?? "";
      response.writeHead(200, { "content-type": contentTypeOf(response), "grpc-encoding": encoding });
      const bomb = random.chance(0.5) ? new Uint8Array(50_000_000) : Buffer.from("grpc-status: 0\r\n");
      response.end(envelope(gzipSync(bomb), 0x81));
    },
  }),
  "a byte at a time": (random) => ({
    answer(response) {
      response.writeHead(200, { "content-type": contentTypeOf(response) });
      const bytes = messages(random).subarray(0, 300);
      const next = (at: number): void => {
        if (at >= bytes.length) response.end();
        else if (!response.destroyed) response.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
      };
      next(0);
    },
  }),
  nothing: () => ({ isEndless: true, answer: () => undefined }),
};

export function hostileResponse(random: Random): HostileResponse {
  const what = random.pick(Object.keys(GENERATORS)) ?? "";
  const made = GENERATORS[what]?.(random);
  if (made === undefined) throw new Error(`nothing makes ${what}`);
  return { what, hasStatus: false, isEndless: false, ...made };
}

function ends(body: Uint8Array): { answer(response: ServerResponse): void } {
  return { answer: (response) => response.writeHead(200, { "content-type": contentTypeOf(response) }).end(body) };
}

/** That of the call, so that its answer is looked into. */
function contentTypeOf({ req }: ServerResponse): string {
  return req.headers["content-type"] ?? "application/grpc-web+proto";
}

function messages(random: Random): Uint8Array {
  const count = random.between(0, 3);
  return concatenate(
    ...Array.from({ length: count }, () => envelope(randomBytes(random, random.pick([0, 1, 10, 3000]) ?? 0))),
  );
}

function trailers(random: Random): Uint8Array {
  return envelope(new TextEncoder().encode(`grpc-status: ${random.pick(STATUS_VALUES)}\r\n`), 0x80);
}

function hostileTrailers(random: Random): Uint8Array {
  const lines = Array.from(
    { length: random.between(0, 3) },
    () =>
      random.pick([
        "grpc-status: 0",
        "grpc-status: 5",
        "grpc-message: %zz%00\u00ff",
        `grpc-message: ${PAD}`,
        "grpc-status-details-bin: !!!",
        ":status: 200",
        "connection: close",
        "content-length: 5",
        "content-type: text/html",
        "__proto__: x",
        "x: \u0001",
        "",
        "no colon",
        `x-long: ${PAD}${PAD}`,
      ]) ?? "",
  );
  return envelope(Buffer.from(`${lines.join("\r\n")}\r\n`, "latin1"), random.pick([0x80, 0x80, 0x82, 0xff]) ?? 0x80);
}

/** Sends a piece over and over, and never ends. */
function pour(response: ServerResponse, piece: Uint8Array): void {
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", more);
  more();
}
