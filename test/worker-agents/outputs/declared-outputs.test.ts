import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CommandSchema } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import { declaredOutputs } from "../../../worker-agents/outputs/declared-outputs.ts";
import { Refusal } from "../../../worker-agents/refusal.ts";

function paths(workingDirectory: string, ...outputPaths: string[]): string[] {
  const command = create(CommandSchema, { workingDirectory, outputPaths });
  return declaredOutputs(command).map(({ pathFromRoot }) => pathFromRoot);
}

describe("declared outputs", () => {
  it("are relative to the working directory", () => {
    expect(paths("a/b", "out", "../out", "./x/.//y/", "")).toEqual(["a/b/out", "a/out", "a/b/x/y", "a/b"]);
    expect(paths("", "same", "same")).toEqual(["same"]);
  });

  it("never lead out of the input root", () => {
    const segment = fc.constantFrom("..", ".", "", "a", "b", "...", "c\\d");
    const path = fc.array(segment, { maxLength: 8 }).map((segments) => segments.join("/"));
    fc.assert(
      fc.property(path, path, (workingDirectory, output) => {
        let resolved: string[];
        try {
          resolved = paths(workingDirectory, output);
        } catch (error) {
          expect(error).toBeInstanceOf(Refusal);
          return;
        }
        for (const each of resolved) expect(each).not.toMatch(/(^|\/)(\.\.?|)(\/|$)(?<!^$)/);
      }),
    );
  });
});
