/** Calls a method of an object through Miniflare's stub, which doesn't know the object's class. */
export async function callMethod(stub: object, name: string, ...args: unknown[]): Promise<unknown> {
  const method: unknown = Reflect.get(stub, name);
  if (typeof method !== "function") throw new Error(`the object has no method ${name}`);
  const result: unknown = await Reflect.apply(method, stub, args);
  return result;
}
