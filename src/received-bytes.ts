import type { ContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { callerKey } from "./access/caller.ts";
import { CHUNK_BYTES } from "./connect/request-body.ts";
import type { Env } from "./env.ts";
import { GrowingHold } from "./memory/growing-hold.ts";
import type { Release } from "./memory/memory-budget.ts";
import { openCallOf } from "./memory/open-calls.ts";
import { chargeUpload } from "./quota/charge.ts";

/** Requests up to this size, which most are, take no more than every call does. */
const SMALL_BYTES = 8 << 10;

/** Up to this size a message doesn't wait for memory that large ones hold, but for what open calls have. */
const FREE_BYTES = 256 << 10;

/** What the bytes of one call's request cost: they count against its caller's quota, and what is held of them takes memory. */
export class ReceivedBytes {
  readonly #env: Env;
  readonly #isHeld: boolean;
  #receivedBytes = 0;
  #chunk: Promise<Release> | undefined;
  #hold: GrowingHold | undefined;

  constructor(env: Env, { method }: UniversalHandler) {
    this.#env = env;
    // A request of one message is there as a whole before anything is done with it. Streams are passed on, but for a chunk.
    this.#isHeld = method.methodKind === "unary" || method.methodKind === "server_streaming";
  }

  /**
   * Undefined where there is nothing to wait for.
   * @param values of the call, whose caller is known before its body is read
   * @throws ConnectError as `chargeUpload`, `openCallOf` and `GrowingHold.grow` do
   */
  count(values: ContextValues, bytes: number): Promise<void> | undefined {
    const caller = values.get(callerKey);
    const charged = chargeUpload(this.#env, caller, bytes);
    this.#receivedBytes += bytes;
    if (this.#receivedBytes <= SMALL_BYTES) return charged;
    const take = () => this.#take(caller.name, bytes);
    return charged === undefined ? take() : charged.then(take);
  }

  /** The message has been used. */
  release(): void {
    this.#hold?.release();
    // What is still waited for is given back when it comes. That it never came, whoever waited was told.
    this.#chunk?.then(
      (release) => {
        release();
      },
      () => undefined,
    );
  }

  #take(owner: string, bytes: number): Promise<void> | undefined {
    if (this.#chunk === undefined) {
      this.#hold = new GrowingHold(owner, FREE_BYTES);
      this.#chunk = openCallOf(this.#isHeld ? FREE_BYTES : CHUNK_BYTES, owner);
      return this.#chunk.then(() => this.#grow(this.#receivedBytes));
    }
    return this.#grow(bytes);
  }

  #grow(bytes: number): Promise<void> | undefined {
    return this.#isHeld ? this.#hold?.grow(bytes) : undefined;
  }
}
