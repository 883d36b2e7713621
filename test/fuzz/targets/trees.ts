import {
  ActionCache,
  ContentAddressableStorage,
  type Digest,
  TreeSchema,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DirectorySchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { type Blob, blobOf } from "../../e2e/action.ts";
import { call } from "../call.ts";
import { hostileTree } from "../generators/trees.ts";
import { hostileInteger, hostileString, randomBytes } from "../generators/hostile-values.ts";
import { checkAnswer, REFUSALS } from "../oracle.ts";
import { sendRaw } from "../raw-request.ts";
import type { Target } from "../target.ts";
import { upload } from "../upload.ts";
import { INSTANCE, type World } from "../world.ts";

/** Trees that are stored, and then asked for: as pages, as outputs of action results, and for people to look at. */
export const trees: Target = {
  name: "trees",
  cases: 15,
  atOnce: 3,
  async run(random, world) {
    const { blobs, root, what } = hostileTree(random);
    await upload(world, blobs);
    const pageToken = random.chance(0.3) ? hostileString(random).toWellFormed() : "";
    const getTree = { instanceName: INSTANCE, rootDigest: root, pageSize: hostileInteger(random), pageToken };
    checkAnswer(await call(world, ContentAddressableStorage.method.getTree, getTree), REFUSALS, `GetTree of ${what}`);
    await storeResult(random, world, blobs, root, what);
    const path = `/ui/${INSTANCE}/trees/sha256/${root.hash}/${root.sizeBytes}/d/d/a/..`;
    const headers = { authorization: `Bearer ${world.token}` };
    checkAnswer(await sendRaw(world.url, { method: "GET", path, headers }), REFUSALS, `the page of ${what}`);
    return what;
  },
};

/** Caches a result with the tree as an output, in either of its forms, and looks it up. */
async function storeResult(
  random: Random,
  world: World,
  blobs: readonly Blob[],
  rootDirectoryDigest: Digest,
  what: string,
): Promise<void> {
  const actionDigest = blobOf(randomBytes(random, 16)).digest;
  const tree = blobOf(random.chance(0.5) ? treeOf(blobs) : randomBytes(random, 100));
  await upload(world, [tree]);
  const directory = random.chance(0.5) ? { rootDirectoryDigest } : { treeDigest: tree.digest };
  const actionResult = { outputDirectories: [{ path: "out", ...directory }] };
  const request = { instanceName: INSTANCE, actionDigest, actionResult };
  const stored = await call(world, ActionCache.method.updateActionResult, request);
  checkAnswer(stored, REFUSALS, `UpdateActionResult with ${what}`);
  const found = await call(world, ActionCache.method.getActionResult, { instanceName: INSTANCE, actionDigest });
  checkAnswer(found, REFUSALS, `GetActionResult with ${what}`);
}

function treeOf(blobs: readonly Blob[]): Uint8Array {
  try {
    const children = blobs.slice(0, 1000).map(({ data }) => fromBinary(DirectorySchema, data));
    return toBinary(TreeSchema, create(TreeSchema, { children, root: {} }));
  } catch {
    // The blobs are no directories; nor is this.
    return new Uint8Array(3);
  }
}
