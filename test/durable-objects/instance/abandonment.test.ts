import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ExecutionStage_Value as Stage } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { SHORT_STAY_MS, useInstance } from "./instance-fixture.ts";

// So short that the test which waits for it is quick.
const instance = useInstance({ client_action_timeout_s: 0.2 });

test("an action that no client waits for any more is cancelled on its agent (nativelink#2693)", async () => {
  const agent = await instance.connect("abandoned");
  const stream = await instance.execute({ stayMs: SHORT_STAY_MS });
  const { leaseId } = await agent.next("lease");
  const { name } = await stream.until(Stage.EXECUTING);
  await expect(stream.done()).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  await expect(agent.next("cancel")).resolves.toMatchObject({ leaseId });
  await expect(instance.clients.operations.getOperation({ name })).resolves.toMatchObject({
    done: true,
    result: { case: "error", value: { code: Code.Canceled } },
  });
});
