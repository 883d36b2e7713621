import { unavailableError } from "../errors/unavailable.ts";

/** How a call to a Durable Object is repeated; the pause doubles each time, and is shortened at random by up to half. */
const RETRY = { attempts: 4, firstPauseMs: 50, retryAfterMs: 1000 } as const;

/** What workerd says of a method that an object's class doesn't have. */
const NO_METHOD = /^The RPC receiver does not implement the method/;

/** How long a deploy takes to reach every object, as a rule. */
const DEPLOY_MS = 60_000;

/** What is needed of a DurableObjectNamespace. */
export interface ObjectNamespace<Id, Stub> {
  idFromName(name: string): Id;
  get(id: Id): Stub;
}

/**
 * Calls an object's method that may safely be called again. A stub is broken for good by the first exception, so each
 * attempt gets a fresh one.
 *
 * @throws ConnectError UNAVAILABLE if the object is overloaded or of a version that has no such method (at once, since
 * repeating helps neither), or is still out of reach after a few attempts.
 */
export async function callObject<Id, Stub, R>(
  namespace: ObjectNamespace<Id, Stub>,
  name: string,
  call: (stub: Stub) => Promise<R>,
): Promise<R> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(namespace.get(namespace.idFromName(name)));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (flag(error, "overloaded")) {
        throw unavailableError(`object ${name} is overloaded; try again`, RETRY.retryAfterMs, error);
      }
      if (NO_METHOD.test(error.message)) {
        throw unavailableError(
          `a deploy is under way, and object ${name} is still of the version before; try again in a minute`,
          DEPLOY_MS,
          error,
        );
      }
      if (!flag(error, "retryable")) throw error;
      if (attempt === RETRY.attempts) {
        throw unavailableError(`object ${name} is restarting; try again`, RETRY.retryAfterMs, error);
      }
      const pauseMs = RETRY.firstPauseMs * 2 ** (attempt - 1) * (1 - Math.random() / 2);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

/** A property that the platform sets on errors of calls to objects. */
function flag(error: Error, name: "overloaded" | "retryable"): boolean {
  return name in error && Reflect.get(error, name) === true;
}
