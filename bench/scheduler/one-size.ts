// Measures one size and prints it as JSON. Run by own-process.ts.
import { parseArgs } from "node:util";
import { measure } from "./measure.ts";

const { values } = parseArgs({
  options: {
    queued: { type: "string", default: "10000" },
    agents: { type: "string", default: "100" },
    groups: { type: "string", default: "1" },
    invocations: { type: "string", default: "10" },
    actions: { type: "string", default: "20000" },
  },
});
const size = {
  queued: Number(values.queued),
  agents: Number(values.agents),
  groups: Number(values.groups),
  invocations: Number(values.invocations),
};
process.stdout.write(`${JSON.stringify(measure(size, Number(values.actions)))}\n`);
