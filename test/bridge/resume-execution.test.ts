import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { encodeFrame, FrameReader } from "../../bridge/frames.ts";
import type { BridgeLimits } from "../../bridge/limits.ts";
import {
  ExecuteOperationMetadataSchema,
  Execution,
  ExecutionStage_Value as Stage,
  WaitExecutionRequestSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { OperationSchema } from "../../protos/gen/google/longrunning/operations_pb.ts";
import { startTestBridge } from "./bridges.ts";
import { GRPC_WEB, OK_TRAILERS, startRawEndpoint, trailerFrame } from "./endpoints.ts";
import { NativeClient } from "./native-client.ts";

const { execute, waitExecution } = Execution.method;
const NAME = "main/operations/0/a";
const CHECKED = update({ name: NAME, stage: Stage.CACHE_CHECK });
const QUEUED = update({ name: NAME, stage: Stage.QUEUED });
const DONE = update({ name: NAME, stage: Stage.COMPLETED });
const UNAVAILABLE = trailerFrame("grpc-status: 14\r\ngrpc-message: restarting\r\n");

function update({ name, stage }: { name: string; stage: Stage }): Uint8Array {
  const metadata = anyPack(ExecuteOperationMetadataSchema, create(ExecuteOperationMetadataSchema, { stage }));
  const operation = create(OperationSchema, { name, metadata, done: stage === Stage.COMPLETED });
  return encodeFrame(toBinary(OperationSchema, operation));
}

interface Call {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

type Answer = (response: ServerResponse) => void;

/** Answers with these bytes and a proper end of the response. */
const ends = (...frames: Uint8Array[]): Answer => {
  return (response) => response.writeHead(200, GRPC_WEB).end(Buffer.concat(frames));
};

/** Answers with these bytes, then the connection breaks. */
const breaks = (...frames: Uint8Array[]): Answer => {
  return (response) =>
    response.writeHead(200, GRPC_WEB).write(Buffer.concat(frames), () => {
      response.destroy();
    });
};

const silent: Answer = (response) => response.writeHead(200, GRPC_WEB).write(QUEUED);
const refusesConnection: Answer = (response) => response.destroy();
const answersHttp = (status: number): Answer => {
  return (response) => response.writeHead(status).end();
};

/** An endpoint that answers the calls in turn, the last answer for all that follow, and a client of a bridge to it. */
async function script(answers: readonly Answer[], limits: Partial<BridgeLimits> = {}) {
  const calls: Call[] = [];
  const endpoint = await startRawEndpoint((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("end", () => {
      const answer = answers[calls.length] ?? answers.at(-1);
      calls.push({
        method: request.url?.split("/").at(-1) ?? "",
        headers: request.headers,
        body: Buffer.concat(chunks),
      });
      answer?.(response);
    });
  });
  const { port } = await startTestBridge(endpoint, limits);
  return { calls, client: new NativeClient(port) };
}

describe("the client notices nothing when an execution", () => {
  test.each<[string, Answer]>([
    ["loses its connection", breaks(QUEUED)],
    ["loses its connection within an update", breaks(QUEUED, DONE.subarray(0, 10))],
    ["ends without trailers", ends(QUEUED)],
    ["ends UNAVAILABLE", ends(QUEUED, UNAVAILABLE)],
    ["ends OK before it is done", ends(QUEUED, OK_TRAILERS)],
    ["goes silent", silent],
  ])("%s", async (_how, cut) => {
    const { calls, client } = await script([cut, ends(QUEUED, DONE, OK_TRAILERS)], { executionSilenceMs: 100 });
    const { messages, status } = await client.readAll(execute, { instanceName: "main" });
    expect(status.code).toBe(0);
    expect(messages.map(({ name, done }) => [name, done])).toEqual([
      [NAME, false],
      [NAME, false],
      [NAME, true],
    ]);
    expect(calls.map(({ method }) => method)).toEqual(["Execute", "WaitExecution"]);
  });

  test("is cut again and again while it is being taken up", async () => {
    const { calls, client } = await script([
      breaks(QUEUED),
      refusesConnection,
      answersHttp(503),
      ends(UNAVAILABLE),
      breaks(),
      breaks(QUEUED),
      ends(DONE, OK_TRAILERS),
    ]);
    const { messages, status } = await client.readAll(execute, {});
    expect(status.code).toBe(0);
    expect(messages.map(({ done }) => done)).toEqual([false, false, true]);
    expect(calls).toHaveLength(7);
  });
});

test("the call that takes an execution up names the operation and has the client's metadata and deadline", async () => {
  const { calls, client } = await script([breaks(QUEUED), ends(DONE, OK_TRAILERS)]);
  const metadata = {
    authorization: "Bearer t0ken",
    "build.bazel.remote.execution.v2.requestmetadata-bin": Buffer.from("build"),
  };
  await client.readAll(execute, {}, { metadata, deadline: Date.now() + 60_000 });
  const [frame] = new FrameReader(1000).push(calls[1]?.body ?? new Uint8Array());
  expect(fromBinary(WaitExecutionRequestSchema, frame?.payload ?? new Uint8Array()).name).toBe(NAME);
  for (const { headers } of calls) {
    expect(headers.authorization).toBe("Bearer t0ken");
    expect(headers["build.bazel.remote.execution.v2.requestmetadata-bin"]).toMatch(/^YnVpbGQ/);
    expect(headers["grpc-timeout"]).toMatch(/^\d{5}m$/);
  }
});

test("WaitExecution is taken up as Execute is", async () => {
  const { calls, client } = await script([breaks(QUEUED), ends(DONE, OK_TRAILERS)]);
  expect((await client.readAll(waitExecution, { name: NAME })).status.code).toBe(0);
  expect(calls.map(({ method }) => method)).toEqual(["WaitExecution", "WaitExecution"]);
});

describe("an execution that is cut before it is queued", () => {
  const LATER = "main/operations/0/b";

  test.each<[string, Answer]>([
    ["loses its connection", breaks(CHECKED)],
    ["ends UNAVAILABLE", ends(CHECKED, UNAVAILABLE)],
    ["ends OK before it is done", ends(CHECKED, OK_TRAILERS)],
  ])("is asked for again, since nobody knows its name: %s", async (_how, cut) => {
    const { calls, client } = await script([
      cut,
      breaks(),
      cut,
      breaks(update({ name: LATER, stage: Stage.CACHE_CHECK }), update({ name: LATER, stage: Stage.QUEUED })),
      ends(update({ name: LATER, stage: Stage.COMPLETED }), OK_TRAILERS),
    ]);
    const { messages, status } = await client.readAll(execute, { instanceName: "main", skipCacheLookup: false });
    expect(status.code).toBe(0);
    expect(messages.map(({ name }) => name)).toEqual([NAME, NAME, LATER, LATER, LATER]);
    expect(calls.map(({ method }) => method)).toEqual(["Execute", "Execute", "Execute", "Execute", "WaitExecution"]);
    const [first, ...again] = calls.slice(0, 4).map(({ body }) => body.toString("hex"));
    expect(again).toEqual([first, first, first]);
    const [wait] = new FrameReader(1000).push(calls[4]?.body ?? new Uint8Array());
    expect(fromBinary(WaitExecutionRequestSchema, wait?.payload ?? new Uint8Array()).name).toBe(LATER);
  });

  test("is given up as UNAVAILABLE, never NOT_FOUND, when nothing has come for the whole window", async () => {
    const { calls, client } = await script([breaks(CHECKED), refusesConnection], {
      resumeWindowMs: 30,
      resumePauseMs: 10,
    });
    expect((await client.readAll(execute, {})).status.code).toBe(Code.Unavailable);
    expect(new Set(calls.map(({ method }) => method))).toEqual(new Set(["Execute"]));
    expect(calls.length).toBeGreaterThan(1);
  });

  test("is UNAVAILABLE where its request could not be held, and what was held is given back", async () => {
    const instanceName = "x".repeat(200);
    const { calls, client } = await script([breaks(CHECKED)], { repeatableRequestsBytes: 100 });
    expect((await client.readAll(execute, { instanceName })).status.code).toBe(Code.Unavailable);
    expect(calls).toHaveLength(1);
    const whole = ends(QUEUED, DONE, OK_TRAILERS);
    const answers = [breaks(CHECKED), whole, whole, breaks(CHECKED), breaks(QUEUED), whole, breaks(CHECKED), whole];
    const roomy = await script(answers, { repeatableRequestsBytes: 300 });
    for (let call = 0; call < 4; call++) {
      expect((await roomy.client.readAll(execute, { instanceName })).status.code).toBe(0);
    }
  });
});

test("a cut before any name was seen is UNAVAILABLE", async () => {
  const { calls, client } = await script([breaks()]);
  expect((await client.readAll(execute, {})).status.code).toBe(Code.Unavailable);
  expect(calls).toHaveLength(1);
});

test("an end that is OK before the operation is done is never passed on (bazel#8605)", async () => {
  const nameless = await script([ends(OK_TRAILERS)]);
  expect((await nameless.client.readAll(execute, {})).status.code).toBe(Code.Unavailable);
  const endless = await script([ends(QUEUED, OK_TRAILERS), ends(OK_TRAILERS)], { resumeWindowMs: 30 });
  const { status } = await endless.client.readAll(execute, {});
  expect(status.code).toBe(Code.Unavailable);
  expect(status.details).toContain("not done");
});

test("silence before any answer is UNAVAILABLE", async () => {
  const { client } = await script([() => undefined], { executionSilenceMs: 50 });
  const { status } = await client.readAll(execute, {});
  expect(status.code).toBe(Code.Unavailable);
  expect(status.details).toContain("silent for 50 ms");
});

test.each([
  ["grpc-status: 5\r\ngrpc-message: no such operation\r\n", Code.NotFound],
  ["grpc-status: 7\r\n", Code.PermissionDenied],
  ["grpc-status: 13\r\n", Code.Internal],
])("an end that is about the operation is passed on: %j", async (trailers, code) => {
  const { calls, client } = await script([breaks(QUEUED), ends(trailerFrame(trailers))]);
  expect((await client.readAll(execute, {})).status.code).toBe(code);
  expect(calls).toHaveLength(2);
});

test("a stream that is cut after the operation was done is not OK", async () => {
  const { calls, client } = await script([breaks(QUEUED, DONE)]);
  const { messages, status } = await client.readAll(execute, {});
  expect(messages.at(-1)?.done).toBe(true);
  expect(status.code).toBe(Code.Unavailable);
  expect(calls).toHaveLength(1);
});

test("it is given up when nothing has come for the whole window", async () => {
  const { calls, client } = await script([breaks(QUEUED), refusesConnection], {
    resumeWindowMs: 30,
    resumePauseMs: 10,
  });
  const { status } = await client.readAll(execute, {});
  expect(status.code).toBe(Code.Unavailable);
  expect(calls.length).toBeGreaterThan(1);
});

test("it is given up when streams only repeat themselves and break off, unless they have been steady between", async () => {
  const limits = { resumeWindowMs: 30, resumePauseMs: 10 };
  const restless = await script([breaks(QUEUED)], limits);
  expect((await restless.client.readAll(execute, {})).status.code).toBe(Code.Unavailable);
  expect(restless.calls.length).toBeGreaterThan(1);

  const cuts = Array.from({ length: 20 }, () => breaks(QUEUED));
  const steady = await script([...cuts, ends(DONE, OK_TRAILERS)], { ...limits, steadyStreamMs: 0 });
  expect((await steady.client.readAll(execute, {})).status.code).toBe(0);
  expect(steady.calls).toHaveLength(21);
});

test("the deadline ends the attempts", async () => {
  const { client } = await script([breaks(QUEUED), refusesConnection]);
  const { status } = await client.readAll(execute, {}, { deadline: Date.now() + 100 });
  expect(status.code).toBe(Code.DeadlineExceeded);
});

test("an update that is no Operation is INTERNAL", async () => {
  const { client } = await script([ends(QUEUED, encodeFrame(Uint8Array.of(0xff)), OK_TRAILERS)]);
  const { status } = await client.readAll(execute, {});
  expect(status.code).toBe(Code.Internal);
  expect(status.details).toContain("google.longrunning.Operation");
});
