import { isMethod } from "./method.ts";

/**
 * A namespace whose objects are as far away as `latencyMs` says, there and back: each call of a method and each request
 * waits. Messages on sockets don't.
 */
export function distantObjects<T extends object>(namespace: T, latencyMs: number): T {
  if (latencyMs === 0) return namespace;
  return new Proxy(namespace, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (!isMethod(member)) return member;
      return (...args: unknown[]) => {
        const result = member.apply(target, args);
        return name === "get" || name === "getByName" ? distantStub(result, latencyMs) : result;
      };
    },
  });
}

function distantStub(stub: unknown, latencyMs: number): unknown {
  if (typeof stub !== "object" || stub === null) return stub;
  return new Proxy(stub, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      // Every name on a stub looks like a method, but it is no promise.
      if (name === "then") return undefined;
      if (!isMethod(member)) return member;
      return async (...args: unknown[]) => {
        await scheduler.wait(latencyMs);
        return Reflect.apply(member, target, args);
      };
    },
  });
}
