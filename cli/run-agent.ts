import type { AgentOptions } from "../worker-agents/agent-options.ts";
import { errorMessage, Fault } from "./fault.ts";
import { packageVersion } from "./package-directory.ts";
import { openTracing } from "./tracing.ts";

/**
 * Runs an agent in this process until `signal` aborts and it has drained, and says on stdout when it is ready.
 * @throws Fault if its work directory or sandbox can't be used, or the endpoint refuses it.
 */
export async function runAgent(options: Omit<AgentOptions, "version">, signal: AbortSignal): Promise<void> {
  const [agent, { AgentRefusedError }, { foundProperties, mergeProperties }, { SandboxError }, { WorkDirectoryError }] =
    await Promise.all([
      import("../worker-agents/agent.ts"),
      import("../worker-agents/connection/connection.ts"),
      import("../worker-agents/platform-properties.ts"),
      import("../worker-agents/sandbox.ts"),
      import("../worker-agents/work-directory.ts"),
    ]);
  const properties = mergeProperties(foundProperties(), options.properties ?? [])
    .map(({ name, value }) => `${name}=${value}`)
    .join(" ");
  const onReady = () => {
    console.log(`Agent   ready: ${options.name} serves ${options.instanceName || '""'} with ${properties}`);
    options.onReady?.();
  };
  const tracing = await openTracing("remex-agent");
  try {
    await agent.runAgent({ ...options, version: packageVersion(), tracer: tracing?.tracer, onReady }, signal);
  } catch (error) {
    const explained = [WorkDirectoryError, SandboxError, AgentRefusedError].some((kind) => error instanceof kind);
    throw explained ? new Fault(errorMessage(error)) : error;
  } finally {
    await tracing?.close();
  }
}
