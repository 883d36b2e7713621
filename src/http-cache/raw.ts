import { SHA256 } from "../digest/digest-function.ts";
import { parseDigest } from "../digest/digest.ts";
import { startHash } from "../digest/verify.ts";
import type { ServedInstance } from "../served-instance.ts";
import { blobNamed, type NamedBlob, nameBlob, unnameBlob } from "./named-blobs.ts";

/** The stored value of a key that a client chose. */
export function findValue(instance: ServedInstance, key: string): Promise<NamedBlob | undefined> {
  return blobNamed(instance, rawName(key), SHA256);
}

/** Stores a value as a blob, and then the key as its name, so that a key that is found has a value. `properties` go with it. */
export async function storeValue(
  instance: ServedInstance,
  key: string,
  bytes: Uint8Array,
  properties: NamedBlob["properties"],
): Promise<void> {
  const digest = parseDigest(SHA256, startHash(SHA256).update(bytes).digest("hex"), bytes.length);
  const [refusal] = await instance.blobs.writeBatch([{ digest, bytes }]);
  if (refusal !== undefined) throw refusal;
  await nameBlob(instance, rawName(key), { digest, properties });
}

/** Forgets the value of a key, if there is one. */
export function forgetValue(instance: ServedInstance, key: string): Promise<void> {
  return unnameBlob(instance, rawName(key), SHA256);
}

function rawName(key: string): string {
  return `raw/${key}`;
}
