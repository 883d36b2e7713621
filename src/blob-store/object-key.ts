import { digestFunctionByName } from "../digest/digest-function.ts";
import { parseDigest, type Digest } from "../digest/digest.ts";

/**
 * The key of a blob's R2 object: `{store}/{function}/{hash}-{size}/{upload id}`. Each upload has its own, and the index says
 * which upload is the blob. So no two uploads write one key (R2 takes one write a second to each), an object is not seen
 * before it is verified, and removing one can't hit an upload that comes after it.
 */
export function formatObjectKey(store: string, { digestFunction, hash, sizeBytes }: Digest, uploadId: string): string {
  return `${objectKeyPrefix(store)}${digestFunction.name}/${hash}-${sizeBytes}/${uploadId}`;
}

/** What the keys of all of a store's objects start with. */
export function objectKeyPrefix(store: string): string {
  return `${store}/`;
}

/** What a key of `store` says, or undefined if it is none that Remex has made. */
export function parseObjectKey(
  store: string,
  key: string,
): { readonly digest: Digest; readonly uploadId: string } | undefined {
  const prefix = objectKeyPrefix(store);
  if (!key.startsWith(prefix)) return undefined;
  const match = /^([a-z0-9]+)\/([0-9a-f]+)-(\d+)\/([0-9a-zA-Z-]+)$/.exec(key.slice(prefix.length));
  if (match === null) return undefined;
  const [, functionName = "", hash = "", size = "", uploadId = ""] = match;
  const digestFunction = digestFunctionByName(functionName);
  if (digestFunction === undefined || hash.length !== digestFunction.hexLength) return undefined;
  if (!Number.isSafeInteger(Number(size))) return undefined;
  return { digest: parseDigest(digestFunction, hash, Number(size)), uploadId };
}
