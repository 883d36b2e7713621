import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, it, onTestFinished } from "vitest";
import {
  AgentMessageSchema,
  OutputRequest_Stream as Stream,
  OutputRequestSchema,
  type OutputChunk,
} from "../../protos/gen/remex/agent/v1/agent_pb.ts";
import { LiveOutput } from "../../worker-agents/leases/live-output.ts";
import { SILENT, temporaryDirectory } from "./running-agent.ts";

const LEASE = "the-lease";

/** A command that runs and has written `written`, and what its readers are answered. */
async function running(written: string) {
  const directory = await temporaryDirectory();
  const [stdoutPath, stderrPath] = [join(directory, "stdout"), join(directory, "stderr")];
  await writeFile(stdoutPath, written);
  const output = new LiveOutput(SILENT);
  output.begin(LEASE, { stdoutPath, stderrPath });
  onTestFinished(() => {
    output.end(LEASE);
  });
  const answers: OutputChunk[] = [];
  const send = (bytes: Uint8Array): void => {
    const { message } = fromBinary(AgentMessageSchema, bytes);
    if (message.case === "output") answers.push(message.value);
  };
  return {
    answers,
    texts: () => answers.map(({ requestId, data }) => [requestId, Buffer.from(data).toString()]),
    ask: (request: MessageInitShape<typeof OutputRequestSchema>) =>
      output.answer(create(OutputRequestSchema, { leaseId: LEASE, stream: Stream.STDOUT, limit: 1000, ...request }), {
        shard: 0,
        send,
      }),
    write: (text: string) => appendFile(stdoutPath, text),
    end: () => {
      output.end(LEASE);
    },
  };
}

it("answers a reader that asks again and again while a command is silent once", async () => {
  const { answers, ask, texts, write } = await running("before");
  const asked = Array.from({ length: 20 }, () => ask({ requestId: "reader", offset: 6n }));
  const another = ask({ requestId: "another", offset: 0n });
  await another;
  await write(" after");
  await Promise.all(asked);
  expect(texts()).toEqual([
    ["another", "before"],
    ["reader", " after"],
  ]);
  expect(answers[1]).toMatchObject({ offset: 6n, end: false });
  // Answered, it may ask as before.
  await ask({ requestId: "reader", offset: 0n });
  expect(texts()).toHaveLength(3);
});

it("answers what a reader asked last", async () => {
  const { answers, ask, texts } = await running("one two");
  const first = ask({ requestId: "reader", offset: 100n });
  const second = ask({ requestId: "reader", offset: 4n, limit: 2 });
  await Promise.all([first, second]);
  expect(texts()).toEqual([["reader", "tw"]]);
  expect(answers[0]?.offset).toBe(4n);
});

it("lets a thousand readers wait, whatever each asks, and answers others at once, as if the command had ended", async () => {
  const { answers, ask, end } = await running("");
  const waiting = Array.from({ length: 2000 }, (_, index) => ask({ requestId: `reader ${index % 1000}` }));
  await ask({ requestId: "one too many" });
  expect(answers).toMatchObject([{ requestId: "one too many", end: true }]);
  end();
  await Promise.all(waiting);
  expect(new Set(answers.map(({ requestId }) => requestId)).size).toBe(1001);
  expect(answers).toHaveLength(1001);
});
