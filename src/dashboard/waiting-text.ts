import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Waiting } from "../../protos/gen/remex/instance/v1/instance_pb.ts";
import { countText, durationText } from "./parts/text.ts";

/** Why an operation is queued still, in a sentence or two. */
export function waitingText({ active, agents, ahead, mismatch, refusedAt }: Waiting, nowMs: number): string {
  if (mismatch !== "") {
    const limit =
      refusedAt === undefined
        ? ""
        : ` It is refused in ${durationText(timestampMs(refusedAt) - nowMs)} unless one joins.`;
    return `Nobody can run it: ${mismatch}.${limit}`;
  }
  const who = agents === 1 ? "The agent that could run it is" : `The ${agents} agents that could run it are`;
  const busy = `${who} busy${active > 0 ? ` (${countText(active, "action")} for this platform under way)` : ""}.`;
  if (ahead === 0) return `It is next. ${busy}`;
  return `${countText(ahead, "action")} for the same platform ${ahead === 1 ? "goes" : "go"} before it. ${busy}`;
}
