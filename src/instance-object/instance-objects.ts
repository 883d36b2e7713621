import { Code, ConnectError } from "@connectrpc/connect";
import type { Instance } from "../../durable-objects/instance.ts";
import { authorizedInstance, type Who } from "../access/authorized-instance.ts";
import type { Right } from "../access/roles.ts";
import { SHA256 } from "../digest/digest-function.ts";
import { parseDigest } from "../digest/digest.ts";
import { servedConfig } from "../config/served-config.ts";
import type { Env } from "../env.ts";
import { callObject, type ObjectNamespace } from "../objects/call-object.ts";
import { placedObjects } from "../objects/placed-objects.ts";
import { serveInstance } from "../served-instance.ts";
import { formatObjectName, type InstanceShard, type OperationName, parseOperationName } from "./operation-name.ts";

/** Calls a method of an Instance object that may safely be called again. */
export function callInstance<R>(
  env: Env,
  shard: InstanceShard,
  call: (stub: DurableObjectStub<Instance>) => Promise<R>,
): Promise<R> {
  return callObject(instanceObjects(env, shard), formatObjectName(shard), call);
}

/** A stub of an Instance object, for a socket to it. */
export function instanceStub(env: Env, shard: InstanceShard): DurableObjectStub<Instance> {
  const objects = instanceObjects(env, shard);
  return objects.get(objects.idFromName(formatObjectName(shard)));
}

function instanceObjects(
  env: Env,
  { instanceName }: InstanceShard,
): ObjectNamespace<DurableObjectId, DurableObjectStub<Instance>> {
  return placedObjects(env, env.INSTANCE, servedConfig(env).instances.get(instanceName)?.place ?? {});
}

/**
 * Whether the instance's scheduler and its part of the index answer.
 * @throws ConnectError UNAVAILABLE if not
 */
export async function checkInstance(env: Env, instanceName: string): Promise<void> {
  const { blobs } = serveInstance(env, instanceName);
  const absent = parseDigest(SHA256, "0".repeat(SHA256.hexLength), 1);
  await Promise.all([
    callInstance(env, { instanceName, shard: 0 }, (stub) => stub.metrics()),
    blobs.findMissing([absent]),
  ]);
}

/**
 * The operation of that name, for a caller who may do that with operations of its instance.
 * @throws ConnectError NOT_FOUND for a name that no operation can have, and what `authorizedInstance` throws
 */
export function locateOperation(env: Env, who: Who, name: string, right: Right): OperationName {
  const operation = parseOperationName(name);
  if (operation === undefined) throw unknownOperationError(name);
  const { config } = authorizedInstance(env, who, operation.instanceName, right);
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
