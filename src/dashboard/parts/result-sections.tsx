import type { ActionResult } from "../../../protos/gen/build/bazel/remote/execution/v2/remote_execution_pb.ts";
import type { DigestFunction } from "../../digest/digest-function.ts";
import type { ServedInstance } from "../../served-instance.ts";
import { endedOutput } from "../output/ended-output.ts";
import { blobPath } from "../paths.ts";
import { EndedOutputSection } from "./output-section.tsx";
import { OutputsTable } from "./outputs-table.tsx";

export interface ResultSectionsProps {
  readonly instance: ServedInstance;
  readonly digestFunction: DigestFunction;
  readonly result: ActionResult;
}

/** What an action has written and put out, for a visitor who may read blobs. */
export async function ResultSections({ digestFunction, instance, result }: ResultSectionsProps) {
  const { blobs, config } = instance;
  const outputs = await Promise.all([
    endedOutput(blobs, digestFunction, result, "stdout"),
    endedOutput(blobs, digestFunction, result, "stderr"),
  ]);
  const written = outputs.filter(({ sizeBytes }) => sizeBytes > 0);
  return (
    <>
      {written.map((output) => (
        <EndedOutputSection
          output={output}
          href={output.digest && `${blobPath(config.name, "files", output.digest, output.stream)}?download`}
        />
      ))}
      {written.length === 0 && <p class="none">It has written nothing to stdout and stderr.</p>}
      <section aria-labelledby="outputs">
        <h2 id="outputs">Outputs</h2>
        <OutputsTable digestFunction={digestFunction} instanceName={config.name} result={result} />
      </section>
    </>
  );
}
