/** A running lease is to end, and why. The reason of its signal. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  /** `cancelled` by the object; `handed-back` by the draining agent; `killed` with the agent, so that nothing is sent. */
  readonly kind: "cancelled" | "handed-back" | "killed";

  constructor(kind: Interruption["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}
