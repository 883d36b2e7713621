import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import {
  type Action,
  ActionSchema,
  type Command,
  CommandSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { type Digest, digestFromWire, digestKey } from "../digest/digest.ts";
import { parseMessage } from "../errors/parse-message.ts";

/** What is larger than this is not read for a page. */
export const MAX_MESSAGE_BYTES = 4 << 20;

/** An action as the CAS has it. */
export interface StoredAction {
  readonly digest: Digest;
  readonly action: Action;
  /** Undefined where it is not stored any more, or too large. */
  readonly command: Command | undefined;
  readonly commandDigest: Digest;
  readonly inputRootDigest: Digest;
}

/**
 * Undefined if the action is not stored any more, or too large.
 * @throws ConnectError INVALID_ARGUMENT if the blobs are none of those messages
 */
export async function readStoredAction(blobs: BlobStore, digest: Digest): Promise<StoredAction | undefined> {
  const action = await readMessage(blobs, ActionSchema, digest);
  if (action === undefined) return undefined;
  const { digestFunction } = digest;
  const commandDigest = digestFromWire(digestFunction, action.commandDigest, "Action.command_digest");
  const inputRootDigest = digestFromWire(digestFunction, action.inputRootDigest, "Action.input_root_digest");
  const command = await readMessage(blobs, CommandSchema, commandDigest);
  return { digest, action, command, commandDigest, inputRootDigest };
}

/** A blob as a message; undefined where it is not stored, or too large. */
export async function readMessage<T extends DescMessage>(
  blobs: BlobStore,
  type: T,
  digest: Digest,
): Promise<MessageShape<T> | undefined> {
  if (digest.sizeBytes > MAX_MESSAGE_BYTES) return undefined;
  const [bytes] = await blobs.readBatch([digest]);
  return bytes && parseMessage(type, bytes, `blob ${digestKey(digest)}`);
}
