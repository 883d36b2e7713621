import { blobPath } from "../paths.ts";
import type { StoredAction } from "../stored-action.ts";
import { commandLine } from "./command-line.ts";
import { Copyable } from "./copyable.tsx";
import { countText } from "./text.ts";

/** What an action runs, and on what. */
export function CommandSection({
  instanceName,
  stored,
}: {
  readonly instanceName: string;
  readonly stored: StoredAction;
}) {
  const { command, inputRootDigest } = stored;
  return (
    <section aria-labelledby="command">
      <h2 id="command">
        Command
        <a class="aside" href={blobPath(instanceName, "trees", inputRootDigest)}>
          Browse its inputs
        </a>
      </h2>
      {command === undefined ? (
        <p class="none">It is no longer in the CAS, or too large to be shown.</p>
      ) : (
        <>
          <Copyable label="Command line" text={commandLine(command)} />
          <details>
            <summary>
              {countText(command.arguments.length, "argument")},{" "}
              {countText(command.environmentVariables.length, "variable")}
            </summary>
            <ol class="arguments">
              {command.arguments.map((argument) => (
                <li>
                  <code>{argument}</code>
                </li>
              ))}
            </ol>
            {command.environmentVariables.length > 0 && (
              <dl class="facts">
                {command.environmentVariables.map(({ name, value }) => (
                  <div>
                    <dt class="id">{name}</dt>
                    <dd class="id">{value}</dd>
                  </div>
                ))}
              </dl>
            )}
          </details>
        </>
      )}
    </section>
  );
}
