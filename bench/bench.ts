import { writeFile } from "node:fs/promises";
import { printReport } from "./report/print.ts";
import { parseOptions } from "./run/options.ts";
import { runBench } from "./run/run-bench.ts";

await parseOptions(process.argv, async (options) => {
  const report = await runBench(options, import.meta.dirname, (line) => {
    console.error(line);
  });
  const json = `${JSON.stringify(report, undefined, 2)}\n`;
  process.stdout.write(options.json === "-" ? json : printReport(report));
  if (options.json !== undefined && options.json !== "-") await writeFile(options.json, json);
  // An error that was measured is still one, for who runs this in a script.
  if (report.scenarios.some(({ result }) => Object.keys(result.errors).length > 0)) process.exitCode = 1;
});
