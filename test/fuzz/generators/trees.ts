import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DirectorySchema,
  type Digest,
} from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { Random } from "../../durable-objects/scheduler/simulation/random.ts";
import { type Blob, blobOf, messageBlob } from "../../e2e/action.ts";
import { hostileString, randomBytes } from "./hostile-values.ts";

/** A tree of directories: the root's digest, and the blobs that it takes, the root the last. */
export interface HostileTree {
  readonly what: string;
  readonly root: Digest;
  readonly blobs: readonly Blob[];
}

type DirectoryInit = MessageInitShape<typeof DirectorySchema>;

/** A tree that is deep, wide, tangled, full of strange names, or no tree at all. */
export function hostileTree(random: Random): HostileTree {
  switch (random.between(0, 6)) {
    case 0:
      return chain(random.pick([10, 300, 1500]) ?? 1);
    case 1:
      return doubling(random.pick([5, 30, 60]) ?? 1);
    case 2:
      return wide(random.pick([100, 3000]) ?? 1);
    case 3:
      return single("strange names", strangeNames(random));
    case 4:
      return single("a child that is missing", {
        directories: [{ name: "gone", digest: blobOf(randomBytes(random, 20)).digest }],
      });
    case 5:
      return notATree(random);
    default:
      return single("children without digests", { directories: [{ name: "a" }], files: [{ name: "b" }] });
  }
}

/** Each directory in the one before. */
function chain(depth: number): HostileTree {
  const blobs = [directory({ files: [] })];
  for (let level = 0; level < depth; level += 1) {
    blobs.push(directory({ directories: [{ name: "d", digest: lastOf(blobs).digest }] }));
  }
  return { what: `a chain of ${depth}`, root: lastOf(blobs).digest, blobs };
}

/** Each directory twice in the one before: few blobs, and 2^depth places. */
function doubling(depth: number): HostileTree {
  const blobs = [directory({ files: [] })];
  for (let level = 0; level < depth; level += 1) {
    const { digest } = lastOf(blobs);
    blobs.push(directory({ directories: ["a", "b"].map((name) => ({ name, digest })) }));
  }
  return { what: `2^${depth} places`, root: lastOf(blobs).digest, blobs };
}

function wide(entries: number): HostileTree {
  const leaves = Array.from({ length: entries }, (_, index) =>
    directory({ symlinks: [{ name: `s${index}`, target: "x" }] }),
  );
  const root = directory({ directories: leaves.map(({ digest }, index) => ({ name: `d${index}`, digest })) });
  return { what: `${entries} directories`, root: root.digest, blobs: [...leaves, root] };
}

function strangeNames(random: Random): DirectoryInit {
  const names = Array.from({ length: random.between(1, 10) }, () =>
    hostileString(random).slice(0, 1000).toWellFormed(),
  );
  const { digest } = directory({});
  return {
    files: names.map((name) => ({ name, digest })),
    directories: names.map((name) => ({ name, digest })),
    symlinks: names.map((name) => ({ name, target: name })),
  };
}

function notATree(random: Random): HostileTree {
  const blob = blobOf(randomBytes(random, random.between(1, 200)));
  return { what: "random bytes", root: blob.digest, blobs: [blob] };
}

function single(what: string, init: DirectoryInit): HostileTree {
  const root = directory(init);
  return { what, root: root.digest, blobs: [directory({}), root] };
}

function directory(init: DirectoryInit): Blob {
  return messageBlob(DirectorySchema, create(DirectorySchema, init));
}

function lastOf(blobs: readonly Blob[]): Blob {
  const last = blobs.at(-1);
  if (last === undefined) throw new Error("there is always one");
  return last;
}
