import { randomUUID } from "node:crypto";
import { prepareActions } from "../fixtures/actions.ts";
import { execute } from "./execute.ts";
import type { Scale, Scenario } from "./scenario.ts";

const INPUT_BYTES = 4 * 1024;
const OUTPUT_BYTES = 64 * 1024;

/** Executes a new action that reads many files, which earlier ones read too, and writes several that are new. */
export function executeIo(scale: Scale, slots: number): Scenario {
  const inputs = scale.count(200);
  const outputs = scale.count(20);
  // `split` is the one program that writes many files; they must be new each time, or nothing would be uploaded.
  const script = `cat in/* >/dev/null && head -c ${outputs * OUTPUT_BYTES} /dev/urandom | split -b ${OUTPUT_BYTES} - out-`;
  const command = ["/bin/sh", "-c", script];
  return {
    name: "execute-io",
    operation: `Execute of a new action with ${inputs} input files and ${outputs} outputs of 64 KiB`,
    concurrency: slots,
    operations: scale.operations(60),
    needs: ["execution"],
    bytes: outputs * OUTPUT_BYTES,
    baselines: ["local copy-and-run"],
    local: { arguments: command, inputs, inputBytes: INPUT_BYTES },
    async prepare(target) {
      const makeActions = await prepareActions(target, {
        arguments: command,
        inputs: target.blobs.uniques(inputs, INPUT_BYTES).map((blob, i) => ({ name: `input-${i}`, blob })),
        outputPaths: Array.from({ length: outputs }, (_, i) => `out-${splitSuffix(i)}`),
      });
      const toolInvocationId = randomUUID();
      return {
        operations: async (caller, operations) =>
          (await makeActions(operations)).map((actionDigest) =>
            execute(caller, { instanceName: target.instanceName, actionDigest, toolInvocationId, cached: false }),
          ),
      };
    },
  };
}

/** How `split` names its files: aa, ab … az, ba … */
function splitSuffix(index: number): string {
  const letter = (value: number): string => String.fromCharCode("a".charCodeAt(0) + value);
  return letter(Math.floor(index / 26)) + letter(index % 26);
}
