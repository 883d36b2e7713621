import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { sizeDelimitedEncode, sizeDelimitedPeek } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  WorkRequestSchema,
  WorkResponseSchema,
  type WorkResponse,
} from "../../../protos/gen/blaze/worker/worker_protocol_pb.ts";
import {
  encodeWorkRequest,
  WorkerProtocolError,
  WorkResponseReader,
  type WorkerProtocol,
} from "../../../worker-agents/persistent-workers/worker-protocol.ts";

const REQUEST = { arguments: ["a", "b\nc"], inputs: [{ path: "p", digest: Buffer.from("12") }] };

function encodeResponse(protocol: WorkerProtocol, response: WorkResponse): Uint8Array {
  return protocol === "proto"
    ? sizeDelimitedEncode(WorkResponseSchema, response)
    : Buffer.from(`${toJsonString(WorkResponseSchema, response)}\n`);
}

describe("a request", () => {
  it("is its length and the message, or one line of JSON with the names that Bazel gives to the fields", () => {
    const bytes = encodeWorkRequest("proto", REQUEST);
    const { offset } = sizeDelimitedPeek(bytes);
    expect(toBinary(WorkRequestSchema, create(WorkRequestSchema, REQUEST))).toEqual(bytes.subarray(offset ?? 0));
    expect(fromBinary(WorkRequestSchema, bytes.subarray(offset ?? 0))).toMatchObject({ arguments: ["a", "b\nc"] });
    const line = Buffer.from(encodeWorkRequest("json", { ...REQUEST, requestId: 7 })).toString();
    expect(line).toBe('{"arguments":["a","b\\nc"],"inputs":[{"path":"p","digest":"MTI="}],"requestId":7}\n');
  });
});

describe.each(["proto", "json"] as const)("responses in %s", (protocol) => {
  it("are whole again however their bytes are cut", () => {
    const response = fc.record({ exitCode: fc.integer(), output: fc.string({ unit: "binary", maxLength: 300 }) });
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    fc.assert(
      fc.property(fc.array(response, { maxLength: 5 }), cuts, (given, at) => {
        const responses = given.map((each) => create(WorkResponseSchema, each));
        const bytes = Buffer.concat(responses.map((each) => encodeResponse(protocol, each)));
        const reader = new WorkResponseReader(protocol, 10_000);
        const ends = [...at.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        let start = 0;
        const read = ends.flatMap((end) => {
          const piece = bytes.subarray(start, end);
          start = end;
          return reader.take(piece);
        });
        expect(read).toEqual(responses);
      }),
    );
  });

  it("that are too long are not waited for", () => {
    const response = create(WorkResponseSchema, { output: "x".repeat(1_000) });
    const reader = new WorkResponseReader(protocol, 500);
    expect(() => reader.take(encodeResponse(protocol, response).subarray(0, 600))).toThrow(WorkerProtocolError);
  });
});

it("what is no response is told with its beginning", () => {
  expect(() => new WorkResponseReader("json", 500).take(Buffer.from("Loading…\n"))).toThrow(
    /is no response .*"Loading/,
  );
  expect(() => new WorkResponseReader("proto", 500).take(Buffer.from("Loading ".repeat(20)))).toThrow(/"Loading /);
});
