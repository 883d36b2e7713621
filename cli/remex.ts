import { whyNodeIsTooOld } from "./node-version.ts";

const tooOld = whyNodeIsTooOld(process.versions.node);
if (tooOld === undefined) {
  // Imported only now: an older Node could not even link what it imports.
  const { run } = await import("./program.ts");
  await run(process.argv);
} else {
  console.error(tooOld);
  process.exitCode = 1;
}
