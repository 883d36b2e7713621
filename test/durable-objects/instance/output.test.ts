import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  ExecuteOperationMetadataSchema,
  ExecutionStage_Value as Stage,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { LeaseResult_Outcome as Outcome, OutputRequest_Stream } from "../../../protos/gen/remex/agent/v1/agent_pb.ts";
import { blobOf } from "../../e2e/action.ts";
import { upload } from "../../e2e/clients.ts";
import { useInstance } from "./instance-fixture.ts";
import { TextStream } from "./text-stream.ts";

const instance = useInstance({});

test("a running action's output is read as it is written, and its rest from the result", async () => {
  const agent = await instance.connect("chatty");
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const { metadata, name } = await stream.until(Stage.EXECUTING);
  const names = metadata && anyUnpack(metadata, ExecuteOperationMetadataSchema);
  expect(names).toMatchObject({ stdoutStreamName: `${name}/stdout`, stderrStreamName: `${name}/stderr` });
  const output = new TextStream(instance.clients.byteStream.read({ resourceName: `${name}/stdout` }));
  const first = output.next();
  const request = await agent.next("outputRequest");
  expect(request).toMatchObject({ leaseId, stream: OutputRequest_Stream.STDOUT, offset: 0n });
  agent.answer(request, "one ");
  // An answer that comes twice, as one to a repeated request may, is read once.
  agent.answer(request, "one ");
  await expect(first).resolves.toBe("one ");
  const second = output.next();
  const more = await agent.next("outputRequest");
  expect(more.offset).toBe(4n);
  agent.answer(more, "two ");
  await expect(second).resolves.toBe("two ");

  const rest = output.rest();
  agent.answer(await agent.next("outputRequest"), "");
  const stdout = blobOf("one two three");
  await upload(instance.clients, [stdout]);
  agent.end(leaseId, { outcome: Outcome.COMPLETED, actionResult: { stdoutDigest: stdout.digest } });
  await expect(rest).resolves.toBe("three");
  await stream.response();
  await expect(
    new TextStream(instance.clients.byteStream.read({ resourceName: `${name}/stdout`, readOffset: 4n })).rest(),
  ).resolves.toBe("two three");
  await expect(
    new TextStream(instance.clients.byteStream.read({ resourceName: `${name}/stderr` })).rest(),
  ).resolves.toBe("");
  expect(agent.pending("outputRequest")).toBe(0);
});

test("a reader that wants so many bytes of an output gets these, and the agent is asked for no more", async () => {
  const agent = await instance.connect("chatty-limited");
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.until(Stage.EXECUTING);
  const read = (readLimit: bigint) => {
    const request = { resourceName: `${name}/stdout`, readOffset: 1n, readLimit };
    return new TextStream(instance.clients.byteStream.read(request)).rest();
  };
  const limited = read(5n);
  agent.answer(await agent.next("outputRequest"), "two ");
  agent.answer(await agent.next("outputRequest"), "three");
  await expect(limited).resolves.toBe("two t");
  await expect(read(-1n)).rejects.toMatchObject({ code: Code.InvalidArgument });
  agent.complete(leaseId);
  await stream.response();
  expect(agent.pending("outputRequest")).toBe(0);
});

test("a reader of an attempt that is lost is told so", async () => {
  const agent = await instance.connect("chatty-loser");
  const stream = await instance.execute();
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.until(Stage.EXECUTING);
  const output = new TextStream(instance.clients.byteStream.read({ resourceName: `${name}/stderr` }));
  const lost = output.rest();
  await agent.next("outputRequest");
  agent.end(leaseId, { outcome: Outcome.INFRASTRUCTURE_FAILURE, status: { code: 13, message: "oops" } });
  await expect(lost).rejects.toMatchObject({ code: Code.Unavailable });
  agent.complete((await agent.next("lease")).leaseId);
  await stream.response();
  const unknown = `main/operations/0/00000000-0000-0000-0000-000000000000/stdout`;
  await expect(
    new TextStream(instance.clients.byteStream.read({ resourceName: unknown })).rest(),
  ).rejects.toMatchObject({
    code: Code.NotFound,
  });
});
