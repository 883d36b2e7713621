import type { ContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { callerKey } from "./access/caller.ts";
import type { Env } from "./env.ts";
import { GrowingHold } from "./memory/growing-hold.ts";
import { chargeUpload } from "./quota/charge.ts";

/** Requests up to this size, which most are, don't wait for memory that large ones hold. */
const FREE_BYTES = 256 << 10;

/** What the bytes of one call's request cost: they count against its caller's quota, and those of a message take memory. */
export class ReceivedBytes {
  readonly #env: Env;
  readonly #isHeld: boolean;
  #hold: GrowingHold | undefined;

  constructor(env: Env, { method }: UniversalHandler) {
    this.#env = env;
    // A request of one message is there as a whole before anything is done with it. Streams are passed on.
    this.#isHeld = method.methodKind === "unary" || method.methodKind === "server_streaming";
  }

  /**
   * Undefined where there is nothing to wait for.
   * @param values of the call, whose caller is known before its body is read
   * @throws ConnectError as `chargeUpload` and `GrowingHold.grow` do
   */
  count(values: ContextValues, bytes: number): Promise<void> | undefined {
    const caller = values.get(callerKey);
    const charged = chargeUpload(this.#env, caller, bytes);
    if (!this.#isHeld) return charged;
    const hold = (this.#hold ??= new GrowingHold(caller.name, FREE_BYTES));
    return charged === undefined ? hold.grow(bytes) : charged.then(() => hold.grow(bytes));
  }

  /** The message has been used. */
  release(): void {
    this.#hold?.release();
  }
}
