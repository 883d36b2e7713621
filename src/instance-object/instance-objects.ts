import { Code, ConnectError } from "@connectrpc/connect";
import type { Instance } from "../../durable-objects/instance.ts";
import type { Env } from "../env.ts";
import { callObject } from "../objects/call-object.ts";
import { serveInstance } from "../served-instance.ts";
import { formatObjectName, type InstanceShard, type OperationName, parseOperationName } from "./operation-name.ts";

/** Calls a method of an Instance object that may safely be called again. */
export function callInstance<R>(
  env: Env,
  shard: InstanceShard,
  call: (stub: DurableObjectStub<Instance>) => Promise<R>,
): Promise<R> {
  return callObject(env.INSTANCE, formatObjectName(shard), call);
}

/**
 * The operation of that name, whose instance is one that is served.
 * @throws ConnectError NOT_FOUND for a name that no operation can have, INVALID_ARGUMENT for an unknown instance.
 */
export function locateOperation(env: Env, name: string): OperationName {
  const operation = parseOperationName(name);
  if (operation === undefined) throw unknownOperationError(name);
  const { config } = serveInstance(env, operation.instanceName);
  if (operation.shard >= config.scheduler.shards) throw unknownOperationError(name);
  return operation;
}

export function unknownOperationError(name: string): ConnectError {
  return new ConnectError(
    `operation ${JSON.stringify(name.slice(0, 512))} is not known: it never was, or it ended too long ago; execute the ` +
      `action again`,
    Code.NotFound,
  );
}
