import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  GetTreeResponseSchema,
  type Directory,
  type GetTreeResponse,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { BlobStore } from "../blob-store/blob-store.ts";
import { digestKey, type Digest } from "../digest/digest.ts";
import { missingBlobsError } from "../errors/missing-blobs.ts";
import { walkTree } from "./walk-tree.ts";

const MAX_PAGE_DIRECTORIES = 1000;
/** A page is no larger, unless it is a single directory that is. */
export const MAX_PAGE_BYTES = 1 << 20;

export interface TreePagesOptions {
  /** The most directories a page; 0 or less leaves it to us. */
  readonly pageSize: number;
  readonly pageToken: string;
  /** Who takes the pages. */
  readonly owner: string;
}

/**
 * A tree as the pages of a GetTree stream. Each page but the last has the token with which a new call goes on behind it:
 * the number of directories up to there, in an order that depends on the tree alone. Directories that are not stored are
 * left out, as REAPI says, but for the root.
 *
 * @throws ConnectError NOT_FOUND if the root is not stored, INVALID_ARGUMENT if the token is not of this tree, or as
 * `walkTree` does.
 */
export async function* treePages(
  root: Digest,
  blobs: BlobStore,
  { pageSize, pageToken, owner }: TreePagesOptions,
): AsyncGenerator<GetTreeResponse, void, undefined> {
  const skip = parseToken(root, pageToken);
  const maxDirectories = pageSize > 0 ? Math.min(pageSize, MAX_PAGE_DIRECTORIES) : MAX_PAGE_DIRECTORIES;
  let passed = 0;
  let page: Directory[] = [];
  let pageBytes = 0;
  for await (const { digest, directory } of walkTree([root], blobs, owner)) {
    if (directory === undefined) {
      if (passed === 0) throw missingBlobsError([root], Code.NotFound);
      continue;
    }
    const full = page.length === maxDirectories || pageBytes + digest.sizeBytes > MAX_PAGE_BYTES;
    if (full && page.length > 0) {
      yield create(GetTreeResponseSchema, { directories: page, nextPageToken: `${root.hash}-${passed}` });
      page = [];
      pageBytes = 0;
    }
    passed++;
    if (passed > skip) {
      page.push(directory);
      pageBytes += digest.sizeBytes;
    }
  }
  yield create(GetTreeResponseSchema, { directories: page });
}

function parseToken(root: Digest, token: string): number {
  if (token === "") return 0;
  const [hash, passed] = token.split("-");
  if (hash !== root.hash || passed === undefined || !/^\d{1,9}$/.test(passed)) {
    throw new ConnectError(
      `page_token "${token.slice(0, 128)}" is not one of the tree of ${digestKey(root)}`,
      Code.InvalidArgument,
    );
  }
  return Number(passed);
}
