export type Method = (...args: unknown[]) => unknown;

export function isMethod(member: unknown): member is Method {
  return typeof member === "function";
}
