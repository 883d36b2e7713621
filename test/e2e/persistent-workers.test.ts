import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { ActionSchema, CommandSchema } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { digestToWire } from "../../src/digest/digest.ts";
import { CasServer } from "../worker-agents/cas-server.ts";
import { putTree } from "../worker-agents/input-tree.ts";
import { said, work } from "../worker-agents/persistent-workers/tool.ts";
import { blobOf, type PreparedAction } from "./action.ts";
import { clientsOver, execute } from "./clients.ts";
import { createNativeTransport } from "./native-transport.ts";
import { Service } from "./service.ts";

/** The configuration that comes with Remex: what clients say of persistent workers must not keep actions from an agent. */
const CONFIG = fileURLToPath(new URL("../../remex.json5", import.meta.url));

it("actions that Bazel marks for a persistent worker are done by one", async () => {
  const service = await Service.start({ args: ["--config", CONFIG] });
  onTestFinished(() => service.stop());
  const transport = createNativeTransport(service.bridgeAddress);
  onTestFinished(() => {
    transport.close();
  });
  const clients = clientsOver(transport);

  const done: ReturnType<typeof said>[] = [];
  for (const input of ["one", "two"]) {
    const { response } = await execute(clients, prepared(input));
    expect(response.result?.exitCode, response.message).toBe(0);
    const { responses } = await clients.cas.batchReadBlobs({
      instanceName: "main",
      digests: [response.result?.stderrDigest ?? blobOf("").digest],
    });
    done.push(said(Buffer.from(responses[0]?.data ?? []).toString()));
    expect(response.result?.outputFiles[0]?.digest).toEqual(blobOf(input).digest);
  }

  expect(done).toMatchObject([
    { done: 0, alone: false },
    { done: 1, pid: done[0]?.pid },
  ]);
});

function prepared(input: string): PreparedAction {
  const cas = new CasServer();
  const { command, inputs = {} } = work(["copy", "in", "out"], {
    protocol: "proto",
    inputs: { in: input },
    outputPaths: ["out"],
  });
  const action = cas.putMessage(ActionSchema, {
    commandDigest: digestToWire(cas.putMessage(CommandSchema, command)),
    inputRootDigest: digestToWire(putTree(cas, inputs).root),
  });
  return { digest: blobOf(cas.get(action)).digest, blobs: [...cas.blobs.values()].map((data) => blobOf(data)) };
}
