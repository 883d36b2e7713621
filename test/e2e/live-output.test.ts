import { ExecutionStage_Value as Stage } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { expect, it } from "vitest";
import { ExecutionStream } from "../durable-objects/instance/execution-stream.ts";
import { TextStream } from "../durable-objects/instance/text-stream.ts";
import { prepareAction } from "./action.ts";
import { INSTANCE, upload } from "./clients.ts";
import { Gate } from "./gate.ts";
import { forEachProtocol } from "./protocols.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

forEachProtocol((protocol, clients) => {
  it("shows what a running action writes while it writes it, and all of it afterwards", async () => {
    const gate = new Gate(await temporaryDirectory());
    const action = prepareAction({ script: `echo before; ${gate.script}; echo after; echo oops >&2`, salt: protocol });
    await upload(clients(), action.blobs);
    const execution = new ExecutionStream(
      clients().execution.execute({ instanceName: INSTANCE, actionDigest: action.digest }),
    );
    const { name } = await execution.until(Stage.EXECUTING);
    const stdout = new TextStream(clients().byteStream.read({ resourceName: `${name}/stdout` }));
    // The action waits at its gate: what is read now is read from the running command.
    await expect(stdout.next()).resolves.toBe("before\n");
    await gate.open();
    await expect(stdout.rest()).resolves.toBe("after\n");
    await expect(execution.response()).resolves.toMatchObject({ result: { exitCode: 0 } });
    const stderr = new TextStream(clients().byteStream.read({ resourceName: `${name}/stderr` }));
    await expect(stderr.rest()).resolves.toBe("oops\n");
  });
});
