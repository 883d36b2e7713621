/** The scheduler did what it must never do. */
export class Violation extends Error {
  override readonly name = "Violation";
  /** In a few words, the same for every violation of one kind. */
  readonly invariant: string;

  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

export function hold(condition: boolean, invariant: string, detail: () => string): asserts condition {
  if (!condition) throw new Violation(invariant, detail());
}
