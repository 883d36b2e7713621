/** Something that must not happen, whatever is sent. */
export class Violation extends Error {
  override readonly name = "Violation";
}
