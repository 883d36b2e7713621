import { create } from "@bufbuild/protobuf";
import {
  ActionResultSchema,
  OutputFileSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { DigestFunction } from "../digest/digest-function.ts";
import { digestFromWire, digestToWire, parseDigest, type Digest } from "../digest/digest.ts";
import { startHash } from "../digest/verify.ts";
import type { ServedInstance } from "../served-instance.ts";

/**
 * The size in the digests that names become: not 0, which would stand for one that is not known. An Action of one byte
 * with such a hash does not exist.
 */
const NAME_SIZE_BYTES = 1;

/** A blob that has a name. */
export interface NamedBlob {
  readonly digest: Digest;
  /** What was said of it when it got the name. */
  readonly properties: ReadonlyMap<string, string>;
}

/**
 * The blob that has a name in the instance, or undefined.
 *
 * A name is kept as an action result, whose action digest is made of the name, and whose only output file is the blob. So
 * it is found only while the blob is stored, counts as a use of it, and is removed as action results are; what looks after
 * the store has to know nothing of names.
 */
export async function blobNamed(
  { actionCache }: ServedInstance,
  name: string,
  digestFunction: DigestFunction,
): Promise<NamedBlob | undefined> {
  const [file] = (await actionCache.get(nameDigest(name, digestFunction)))?.outputFiles ?? [];
  if (file === undefined) return undefined;
  const properties = file.nodeProperties?.properties ?? [];
  return {
    digest: digestFromWire(digestFunction, file.digest, "output_files.digest"),
    properties: new Map(properties.map(({ name, value }) => [name, value])),
  };
}

/** Gives a stored blob a name, in place of the blob that had it before. */
export async function nameBlob(
  { actionCache }: ServedInstance,
  name: string,
  { digest, properties }: NamedBlob,
): Promise<void> {
  const nodeProperties = { properties: Array.from(properties, ([name, value]) => ({ name, value })) };
  const file = create(OutputFileSchema, { path: "value", digest: digestToWire(digest), nodeProperties });
  const names = create(ActionResultSchema, { outputFiles: [file] });
  await actionCache.put(nameDigest(name, digest.digestFunction), names);
}

/** Takes a name away, if there is such a one. The blob stays, until nobody has used it for long. */
export async function unnameBlob(
  { actionCache }: ServedInstance,
  name: string,
  digestFunction: DigestFunction,
): Promise<void> {
  await actionCache.remove(nameDigest(name, digestFunction));
}

function nameDigest(name: string, digestFunction: DigestFunction): Digest {
  const hash = startHash(digestFunction).update(new TextEncoder().encode(name)).digest("hex");
  return parseDigest(digestFunction, hash, NAME_SIZE_BYTES);
}
