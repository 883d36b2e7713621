import type { UploadKey, UploadPart, UploadSession } from "../../durable-objects/cache-shard/rpc.ts";
import type { Digest } from "../digest/digest.ts";
import { toDigestKey } from "./digest-keys.ts";
import type { ShardCalls } from "./shard-calls.ts";

/** An upload as its client names it. */
export interface ClientUpload {
  readonly instance: string;
  readonly clientUploadId: string;
  readonly digest: Digest;
}

/** The uploads to a store that have begun and not ended. */
export class UploadSessions {
  readonly #calls: ShardCalls;

  constructor(calls: ShardCalls) {
    this.#calls = calls;
  }

  /** The upload that has begun and not ended, with its parts in order. */
  async find(upload: ClientUpload): Promise<{ session: UploadSession; parts: UploadPart[] } | undefined> {
    const found = await this.#calls.everywhere(upload.digest.hash, (stub, shard) =>
      stub.findUpload({ shard, key: toUploadKey(upload) }),
    );
    return found.findLast((upload) => upload !== null) ?? undefined;
  }

  /** Begins an upload, in place of the one that is there. */
  async begin(upload: ClientUpload, session: UploadSession): Promise<void> {
    await this.#calls.write(upload.digest.hash, (stub, shard) =>
      stub.beginUpload({ shard, key: toUploadKey(upload), session }),
    );
  }

  /** Records a part that R2 has acknowledged. False if the upload has ended or was replaced. */
  async recordPart(upload: ClientUpload, uploadId: string, part: UploadPart): Promise<boolean> {
    return this.#calls.write(upload.digest.hash, (stub, shard) =>
      stub.recordPart({ shard, key: toUploadKey(upload), uploadId, part }),
    );
  }

  /** Ends an upload that came to nothing; the shard removes what R2 has of it. */
  async end(upload: ClientUpload, uploadId: string): Promise<void> {
    await this.#calls.write(upload.digest.hash, (stub, shard) =>
      stub.endUpload({ shard, key: toUploadKey(upload), uploadId }),
    );
  }
}

export function toUploadKey({ instance, clientUploadId, digest }: ClientUpload): UploadKey {
  return { instance, clientUploadId, digest: toDigestKey(digest) };
}
