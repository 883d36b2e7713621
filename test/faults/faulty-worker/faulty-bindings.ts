import type { Env } from "../../../src/env.ts";
import { isMethod } from "../../../bench/workers/method.ts";
import { type Side, withFaults } from "./faults.ts";

/** The bindings of one side, whose calls may go wrong. */
export function faultyBindings<T extends Env>(env: T, side: Side): T {
  return {
    ...env,
    CAS: faultyBucket(env.CAS, side),
    CACHE_SHARD: faultyNamespace(env.CACHE_SHARD, side),
    INSTANCE: faultyNamespace(env.INSTANCE, side),
  };
}

/** A bucket, or a multipart upload. */
function faultyBucket<T extends object>(bucket: T, side: Side): T {
  return proxy(bucket, (name, call) => {
    // It only makes an object, and asks R2 nothing.
    if (name === "resumeMultipartUpload") return wrapObject(call(), (upload) => faultyBucket(upload, side));
    const made = withFaults(`R2 ${name}`, side, call);
    if (name !== "createMultipartUpload") return made;
    return made.then((upload) => wrapObject(upload, (upload) => faultyBucket(upload, side)));
  });
}

function faultyNamespace<T extends object>(namespace: T, side: Side): T {
  return proxy(namespace, (name, call) =>
    name === "get" ? wrapObject(call(), (stub) => proxy(stub, (name, call) => withFaults(name, side, call))) : call(),
  );
}

function wrapObject(value: unknown, wrap: (value: object) => object): unknown {
  return typeof value === "object" && value !== null ? wrap(value) : value;
}

/** `target` with each call of a method replaced. */
function proxy<T extends object>(target: T, replace: (name: string, call: () => unknown) => unknown): T {
  return new Proxy(target, {
    get(target, name) {
      // Every name on a stub looks like a method, but it is no promise.
      if (name === "then") return undefined;
      const member: unknown = Reflect.get(target, name);
      if (!isMethod(member) || typeof name !== "string") return member;
      return (...args: unknown[]) => replace(name, () => Reflect.apply(member, target, args));
    },
  });
}
