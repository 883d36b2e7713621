import { Code, ConnectError } from "@connectrpc/connect";
import { digestFunctionByName, type DigestFunction } from "../digest/digest-function.ts";
import { parseDigest, requestDigestFunction, type Digest } from "../digest/digest.ts";
import { DigestFunction_Value } from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";

/** A resource name's parts, before the digest is checked against what the instance accepts. */
export interface BlobName {
  readonly instanceName: string;
  /** As in `compressed-blobs/{compressor}`; undefined for `blobs`. */
  readonly compressor?: string;
  readonly digestFunctionName?: string;
  readonly hash: string;
  readonly sizeBytes: string;
}

export interface UploadName extends BlobName {
  /** The `{uuid}`, which tells a client's uploads of one blob apart. */
  readonly clientUploadId: string;
}

const READ_FORM = "{instance_name}/blobs/{digest_function/}{hash}/{size}";
const WRITE_FORM = "{instance_name}/uploads/{uuid}/blobs/{digest_function/}{hash}/{size}";

/**
 * Parses the resource name of a ByteStream.Read: `{instance_name}/blobs/…` or `{instance_name}/compressed-blobs/…`
 * as the comment on REAPI's ContentAddressableStorage says. The instance name may have slashes, or be absent.
 * @throws ConnectError INVALID_ARGUMENT
 */
export function parseReadName(name: string): BlobName {
  const segments = name.split("/");
  const keyword = segments.findIndex((segment) => segment === "blobs" || segment === "compressed-blobs");
  if (keyword === -1) throw malformed(name, READ_FORM);
  const { blob, rest } = parseBlob(name, segments.slice(keyword), READ_FORM);
  if (rest.length > 0) throw malformed(name, READ_FORM);
  return { instanceName: segments.slice(0, keyword).join("/"), ...blob };
}

/**
 * Parses the resource name of a ByteStream.Write or QueryWriteStatus. Whatever follows the size is metadata that REAPI
 * says to ignore.
 * @throws ConnectError INVALID_ARGUMENT
 */
export function parseUploadName(name: string): UploadName {
  const segments = name.split("/");
  const keyword = segments.indexOf("uploads");
  const clientUploadId = segments[keyword + 1];
  if (keyword === -1 || clientUploadId === undefined || clientUploadId === "") throw malformed(name, WRITE_FORM);
  const { blob } = parseBlob(name, segments.slice(keyword + 2), WRITE_FORM);
  return { instanceName: segments.slice(0, keyword).join("/"), clientUploadId, ...blob };
}

/**
 * The digest that a resource name means.
 * @throws ConnectError INVALID_ARGUMENT if it is malformed or its function is not one of `allowed`.
 */
export function digestOfName(name: BlobName, allowed: readonly DigestFunction[]): Digest {
  const { digestFunctionName, hash, sizeBytes } = name;
  const named = digestFunctionName === undefined ? undefined : digestFunctionByName(digestFunctionName);
  if (digestFunctionName !== undefined && named === undefined) {
    throw new ConnectError(
      `digest function ${digestFunctionName} is not accepted here; accepted: ${allowed.map(({ name }) => name).join(", ")}`,
      Code.InvalidArgument,
    );
  }
  const digestFunction = requestDigestFunction(named?.value ?? DigestFunction_Value.UNKNOWN, hash, allowed);
  return parseDigest(digestFunction, hash, BigInt(sizeBytes));
}

/**
 * `blobs/{digest_function/}{hash}/{size}`: what REAPI puts in error details. The function is named only where the hash's
 * length does not give it away.
 */
export function blobResourceName({ digestFunction, hash, sizeBytes }: Digest): string {
  const named = digestFunction.unnamed ? "" : `${digestFunction.name}/`;
  return `blobs/${named}${hash}/${sizeBytes}`;
}

/** Parses `blobs/…` or `compressed-blobs/…`; `rest` is what follows the size. */
function parseBlob(
  name: string,
  segments: readonly string[],
  form: string,
): { blob: Omit<BlobName, "instanceName">; rest: string[] } {
  const remaining = [...segments];
  const keyword = remaining.shift();
  const compressor = keyword === "compressed-blobs" ? remaining.shift() : undefined;
  if (keyword !== "blobs" && (keyword !== "compressed-blobs" || compressor === undefined)) throw malformed(name, form);
  // Only the hash is followed by a size.
  const digestFunctionName = isSize(remaining[1]) ? undefined : remaining.shift();
  const [hash, sizeBytes, ...rest] = remaining;
  if (hash === undefined || !isSize(sizeBytes)) throw malformed(name, form);
  return {
    blob: {
      hash,
      sizeBytes,
      ...(compressor !== undefined && { compressor }),
      ...(digestFunctionName !== undefined && { digestFunctionName }),
    },
    rest,
  };
}

function isSize(segment: string | undefined): segment is string {
  return segment !== undefined && /^\d{1,16}$/.test(segment);
}

function malformed(name: string, form: string): ConnectError {
  return new ConnectError(`resource name "${name.slice(0, 512)}" is malformed; expected ${form}`, Code.InvalidArgument);
}
