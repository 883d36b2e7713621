import type { z } from "zod";
import { isMethod } from "../../../bench/workers/method.ts";
import type { FaultReport, faultPlanSchema } from "../fault-plan.ts";

/** One who makes calls: a request to the Worker, or an object. */
export class Side {
  readonly #onKilled: () => void;
  #killed = false;

  constructor(onKilled: () => void) {
    this.#onKilled = onKilled;
  }

  /** Does nothing any more: no call that it makes from now on is made, and none that is under way returns to it. */
  kill(): Promise<never> {
    this.#killed = true;
    this.#onKilled();
    return new Promise<never>(() => undefined);
  }

  /** What `call` returns, as long as there is somebody to return it to. */
  async call(call: () => unknown): Promise<unknown> {
    const killed = new Promise<never>(() => undefined);
    if (this.#isKilled()) return killed;
    const result = await call();
    return this.#isKilled() ? killed : result;
  }

  #isKilled(): boolean {
    return this.#killed;
  }
}

let plan: z.output<typeof faultPlanSchema> | undefined;
let calls: string[] = [];
let happened = 0;

/** Makes a plan, or none; what has happened before is forgotten. */
export function setFaults(next: typeof plan): void {
  plan = next;
  calls = [];
  happened = 0;
}

export function faultReport(): FaultReport {
  return { calls, happened: happened > 0 };
}

/** Makes a call, or lets it go wrong. Worker and objects are in one isolate, and so is this. */
export async function withFaults(name: string, side: Side, call: () => unknown): Promise<unknown> {
  if (plan === undefined || (plan.of.length > 0 && !plan.of.includes(name))) return side.call(call);
  const { at, effect, times } = plan;
  calls.push(name);
  const isDue = calls.length >= at && happened < (effect.startsWith("die") ? 1 : times);
  if (!isDue) return side.call(call);
  happened++;
  if (effect === "cut-body" || effect === "break-body") return halfBody(await side.call(call), effect === "break-body");
  if (effect.endsWith("after")) await side.call(call);
  if (effect.startsWith("die")) return side.kill();
  throw new Error(`${name}: an error that the test asked for (10001)`);
}

/** What a get gave, whose body has its first half only: then it ends, or breaks. */
function halfBody(object: unknown, breaks: boolean): unknown {
  if (typeof object !== "object" || object === null || !("body" in object)) return object;
  const { body } = object;
  if (!(body instanceof ReadableStream)) return object;
  const half = new ReadableStream({
    type: "bytes",
    async start(controller) {
      const whole = await new Response(body).bytes();
      controller.enqueue(whole.subarray(0, Math.floor(whole.length / 2)));
      if (breaks) controller.error(new Error("the connection was lost"));
      else controller.close();
    },
  });
  return new Proxy(object, {
    get: (target, name) => {
      const member: unknown = name === "body" ? half : Reflect.get(target, name, target);
      return isMethod(member) ? (...args: unknown[]) => Reflect.apply(member, target, args) : member;
    },
  });
}
