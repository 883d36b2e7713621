import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { callObject } from "../../../src/objects/call-object.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const retryable = () =>
  Object.assign(new Error("Durable Object reset because its code was updated."), { retryable: true });
const overloaded = () =>
  Object.assign(new Error("Durable Object is overloaded."), { overloaded: true, retryable: true });

/** Calls an object whose successive stubs answer with `answers`; tells how many stubs were used. */
async function call(...answers: (Error | string)[]): Promise<{ outcome: unknown; stubs: number }> {
  let stubs = 0;
  const namespace = { idFromName: (name: string) => `id of ${name}`, get: (id: string) => ({ id, number: stubs++ }) };
  const outcome = callObject(namespace, "S/0", async ({ id, number }) => {
    expect(id).toBe("id of S/0");
    const answer = answers[number];
    if (answer instanceof Error) throw answer;
    return Promise.resolve(answer);
  }).catch((error: unknown) => error);
  await vi.runAllTimersAsync();
  return { outcome: await outcome, stubs };
}

test("an answer is passed on", async () => {
  expect(await call("answer")).toEqual({ outcome: "answer", stubs: 1 });
});

test("an object that restarts is asked again, through a stub of its own each time", async () => {
  expect(await call(retryable(), retryable(), "answer")).toEqual({ outcome: "answer", stubs: 3 });
});

test("an object that keeps restarting is unavailable, and trying again is safe", async () => {
  const { outcome, stubs } = await call(...Array.from({ length: 9 }, retryable));
  expect(stubs).toBe(4);
  expect(outcome).toBeInstanceOf(ConnectError);
  expect(outcome).toMatchObject({ code: Code.Unavailable, rawMessage: "object S/0 is restarting; try again" });
  expect(outcome).toMatchObject({ details: [{ desc: RetryInfoSchema }] });
});

test("an overloaded object is not asked again", async () => {
  const { outcome, stubs } = await call(overloaded(), "answer");
  expect(stubs).toBe(1);
  expect(outcome).toMatchObject({ code: Code.Unavailable, details: [{ desc: RetryInfoSchema }] });
});

test("an object of a version that has no such method is unavailable until the deploy has reached it", async () => {
  const { outcome, stubs } = await call(
    new TypeError('The RPC receiver does not implement the method "overview".'),
    "a",
  );
  expect(stubs).toBe(1);
  expect(outcome).toMatchObject({ code: Code.Unavailable, details: [{ desc: RetryInfoSchema }] });
  expect(String(outcome)).toContain("a deploy is under way");
});

test("an error of its own is passed on at once", async () => {
  const error = new Error("a fault");
  expect(await call(error, "answer")).toEqual({ outcome: error, stubs: 1 });
});
