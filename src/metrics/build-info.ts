import { version } from "../../package.json";
import type { Metric } from "./exposition.ts";

/** Which version answers: a value of 1, by convention, whose label is what counts. */
export const BUILD_INFO: Metric = {
  name: "remex_build_info",
  help: "The version of the Worker.",
  type: "gauge",
  samples: [{ labels: { version }, value: 1 }],
};
