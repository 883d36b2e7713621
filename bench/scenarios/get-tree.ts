import { fromBinary } from "@bufbuild/protobuf";
import {
  ContentAddressableStorage,
  DirectorySchema,
  GetTreeRequestSchema,
  GetTreeResponseSchema,
} from "../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { encode } from "../calls/caller.ts";
import { type Blob, messageBlob } from "../fixtures/blobs.ts";
import { upload } from "../fixtures/upload.ts";
import { WrongAnswer } from "../load/closed-loop.ts";
import { repeat, type Scale, type Scenario } from "./scenario.ts";

const FAN_OUT = 100;
const FILE_BYTES = 1000;

/** Fetches a tree of directories of three levels, each with one file, no two alike. */
export function getTree(scale: Scale): Scenario {
  const directories = scale.count(10_000);
  return {
    name: "get-tree",
    operation: `GetTree of ${directories} directories`,
    concurrency: 1,
    operations: scale.operations(10),
    async prepare(target) {
      const directory = (name: string, children: readonly Blob[]): Blob =>
        messageBlob(DirectorySchema, {
          files: [{ name, digest: target.blobs.absent(FILE_BYTES) }],
          directories: children.map(({ digest }, i) => ({ name: String(i).padStart(4, "0"), digest })),
        });
      const branchCount = Math.ceil((directories - 1) / (FAN_OUT + 1));
      const leaves = Array.from({ length: directories - 1 - branchCount }, (_, i) => directory(`leaf-${i}`, []));
      const branches = Array.from({ length: branchCount }, (_, i) =>
        directory(`branch-${i}`, leaves.slice(i * FAN_OUT, (i + 1) * FAN_OUT)),
      );
      const root = directory("root", branches);
      await upload(target, [root, ...branches, ...leaves]);
      return {
        operations: (caller, count) =>
          repeat(async () => {
            const answers: Uint8Array[] = [];
            let pageToken: string | undefined;
            do {
              const request = encode(GetTreeRequestSchema, {
                instanceName: target.instanceName,
                rootDigest: root.digest,
                pageToken: pageToken ?? "",
              });
              for await (const answer of caller.serverStream(ContentAddressableStorage.method.getTree, request)) {
                answers.push(answer);
              }
              const last = answers.at(-1);
              pageToken = last === undefined ? "" : fromBinary(GetTreeResponseSchema, last).nextPageToken;
            } while (pageToken !== "");
            return () => {
              const found = answers
                .map((answer) => fromBinary(GetTreeResponseSchema, answer).directories.length)
                .reduce((sum, length) => sum + length, 0);
              if (found !== directories) throw new WrongAnswer(`${found} of ${directories} directories`);
            };
          }, count),
      };
    },
  };
}
