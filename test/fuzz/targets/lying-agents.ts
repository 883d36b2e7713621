import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import {
  type ExecuteResponse,
  ExecuteResponseSchema,
  Execution,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Operation } from "../../../protos/gen/google/longrunning/operations_pb.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { ScriptedAgent } from "../../durable-objects/instance/scripted-agent.ts";
import { prepareAction, type PreparedAction } from "../../e2e/action.ts";
import { lie } from "../generators/lies.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import { sendRaw } from "../raw-request.ts";
import type { Target } from "../target.ts";
import { upload } from "../upload.ts";
import { Violation } from "../violation.ts";
import { INSTANCE, type World } from "../world.ts";

/** The outputs that the actions here declare. */
const DECLARED = ["out", "sub/../declared"];

/** What an action may end with, by the number of google.rpc.Code: OK, a refusal of the liar's, or the attempts spent. */
const ENDS: ReadonlySet<number> = new Set([0, 3, 4, 8, 9, 13]);

/**
 * Agents that break their protocol and lie: about who they are, what they run and what came of it. An action that one of
 * them gets ends all the same, by an honest agent or with the attempts spent, and never with what nobody asked for.
 */
export const lyingAgents: Target = {
  name: "lying agents",
  cases: 24,
  atOnce: 4,
  async run(random, world) {
    const machine = `machine-${crypto.randomUUID()}`;
    const action = prepareAction({ script: "true", salt: machine, outputPaths: DECLARED, properties: { machine } });
    await upload(world, action.blobs);
    const platform = { properties: [{ name: "machine", value: machine }] };
    const hello = { name: machine, maxActions: 1, platform };

    const liar = await ScriptedAgent.open(world.url, `liar-${machine}`, 0, world.token);
    liar.send({ case: "hello", value: { ...hello, agentId: liar.id } });
    await liar.next("welcome");
    const done = execute(world, action);
    const { leaseId } = await liar.next("lease");
    const lies = Array.from({ length: random.between(1, 6) }, () => lie(random, liar, leaseId)).join(", ");

    // It says that the liar was killed, so that nobody has to wait for that one.
    const honest = await ScriptedAgent.open(world.url, `honest-${machine}`, 0, world.token);
    honest.send({ case: "hello", value: { ...hello, agentId: honest.id, replacedAgentIds: [liar.id] } });
    void honest.next("lease").then((lease) => {
      honest.complete(lease.leaseId);
    });
    const operation = await done;
    checkEnd(operation, lies);
    await checkJson(world, operation.name, lies);
    await Promise.all([liar.close(), honest.close()]);
    return lies;
  },
};

async function execute({ token, url }: World, action: PreparedAction): Promise<Operation> {
  const client = createClient(Execution, createGrpcWebTransport({ baseUrl: url, ...CONNECTION_PER_CALL }));
  const headers = { authorization: `Bearer ${token}` };
  let last: Operation | undefined;
  for await (const state of client.execute({ instanceName: INSTANCE, actionDigest: action.digest }, { headers })) {
    last = state;
  }
  if (last?.done !== true) throw new Violation("Execute ended before the operation was done");
  return last;
}

function checkEnd({ result }: Operation, lies: string): void {
  const response = result.case === "response" ? anyUnpack(result.value, ExecuteResponseSchema) : undefined;
  if (response === undefined) throw new Violation(`${lies}: the operation ended with ${JSON.stringify(result)}`);
  const code = response.status?.code ?? 0;
  if (!ENDS.has(code)) throw new Violation(`${lies}: the action ended with code ${code}`);
  const escaping = pathsOf(response).find((path) => /(^|\/)\.{0,2}(\/|$)/.test(path) && !DECLARED.includes(path));
  if (escaping !== undefined && escaping !== "") throw new Violation(`${lies}: the client got the output ${escaping}`);
}

function pathsOf({ result }: ExecuteResponse): string[] {
  const outputs = [
    ...(result?.outputFiles ?? []),
    ...(result?.outputDirectories ?? []),
    ...(result?.outputSymlinks ?? []),
  ];
  return outputs.map(({ path }) => path);
}

/** What the agent said must not keep anybody from having the operation, as JSON either, or from looking at it. */
async function checkJson({ token, url }: World, name: string, lies: string): Promise<void> {
  const authorization = `Bearer ${token}`;
  const body = new TextEncoder().encode(JSON.stringify({ name }));
  const path = "/google.longrunning.Operations/GetOperation";
  const headers = { authorization, "content-type": "application/json" };
  checkAnswer(await sendRaw(url, { method: "POST", path, headers, body }), REFUSALS, `GetOperation after ${lies}`);
  const page = { method: "GET", path: `/ui/${name}`, headers: { authorization } };
  checkAnswer(await sendRaw(url, page), REFUSALS, `the page after ${lies}`);
}
