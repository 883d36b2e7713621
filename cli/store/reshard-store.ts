import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import { askStore, type StoreEndpoint } from "./store-endpoint.ts";

const ASK_INTERVAL_MS = 1000;

const statusSchema = z.object({
  phase: z.enum(["stable", "preparing", "moving"]),
  shards: z.number(),
  from: z.number(),
  /** How many of `from` shards have moved all that belongs elsewhere. */
  moved: z.number(),
});

type LayoutStatus = z.infer<typeof statusSchema>;

/**
 * Changes a store's number of shards, or goes on watching a change that is under way, until it is done.
 * @param say gets a line when it has got on
 * @throws Fault; the change goes on then
 */
export async function reshardStore(store: StoreEndpoint, shards: number, say: (line: string) => void): Promise<void> {
  let status = await askStore(store, "reshard", { shards }, statusSchema);
  for (let said = ""; ; status = await askStore(store, "layout", undefined, statusSchema)) {
    const line = statusText(status);
    if (line !== said) say(line);
    said = line;
    if (status.phase === "stable") return;
    await setTimeout(ASK_INTERVAL_MS);
  }
}

function statusText({ from, moved, phase, shards }: LayoutStatus): string {
  switch (phase) {
    case "stable":
      return `the store has ${shards} shards`;
    case "preparing":
      return `preparing to go from ${from} to ${shards} shards`;
    case "moving":
      return `moving from ${from} to ${shards} shards: ${moved} of ${from} have moved all that belongs elsewhere`;
  }
}
