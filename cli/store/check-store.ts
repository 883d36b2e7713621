import { z } from "zod";
import { askStore, type StoreEndpoint } from "./store-endpoint.ts";

const partSchema = z.object({
  objects: z.number(),
  indexed: z.number(),
  missing: z.array(z.string()),
  unused: z.array(z.string()),
  young: z.number(),
  foreign: z.number(),
  next: z.string().nullable(),
});

/** What a whole check has found. */
export interface CheckReport {
  readonly objects: number;
  readonly indexed: number;
  readonly missing: number;
  readonly unused: number;
  readonly young: number;
  readonly foreign: number;
}

export interface CheckFlags {
  readonly dryRun: boolean;
  readonly graceS: number;
  /** How much is compared with one request; the endpoint's own measure if it is not said. */
  readonly partSize?: number;
}

/** Who hears of a check while it goes on. */
export interface CheckListener {
  /** A line for each thing that is wrong. */
  readonly say: (line: string) => void;
  /** How far it has come, in a line: after each part but the last. */
  readonly progress: (line: string) => void;
}

/**
 * Checks a store, part by part.
 * @throws Fault
 */
export async function checkStore(
  store: StoreEndpoint,
  { dryRun, graceS, partSize }: CheckFlags,
  { progress, say }: CheckListener,
): Promise<CheckReport> {
  const report = { objects: 0, indexed: 0, missing: 0, unused: 0, young: 0, foreign: 0 };
  let partsOfFunction = 0;
  for (let after: string | null | undefined; after !== null;) {
    const request = { dry_run: dryRun, grace_s: graceS, part_size: partSize, after };
    const part = await askStore(store, "check", request, partSchema);
    for (const blob of part.missing) say(`missing  ${blob}`);
    for (const key of part.unused) say(`unused   ${key}`);
    report.objects += part.objects;
    report.indexed += part.indexed;
    report.missing += part.missing.length;
    report.unused += part.unused.length;
    report.young += part.young;
    report.foreign += part.foreign;
    after = part.next;
    if (after === null) continue;
    const [digestFunction = "", hash = ""] = after.split("/");
    partsOfFunction = hash === "" ? 0 : partsOfFunction + 1;
    const parts = partsText(partsOfFunction, hash);
    progress(`${digestFunction}: ${parts}, ${report.indexed} blobs and ${report.objects} objects compared`);
  }
  return report;
}

/** How many parts there will be is known by how far the hashes have come: those of a store lie evenly. */
function partsText(done: number, hash: string): string {
  if (done === 0) return "begun";
  const share = Math.max(parseInt(hash.slice(0, 8), 16), 1) / 2 ** 32;
  return `part ${done} of about ${Math.max(Math.round(done / share), done + 1)} done`;
}

/** The report in some lines, for people. */
export function reportText(
  { foreign, indexed, missing, objects, unused, young }: CheckReport,
  dryRun: boolean,
): string {
  const done = (what: string) => (dryRun ? "" : `, ${what}`);
  return [
    `${indexed} blobs in the index that are R2 objects, ${objects} objects in R2`,
    `${missing} blobs whose object is missing${missing > 0 ? done("removed from the index") : ""}`,
    `${unused} objects that nothing refers to${unused > 0 ? done("to be deleted within minutes") : ""}`,
    ...(young > 0 ? [`${young} objects too young to judge: check again later`] : []),
    ...(foreign > 0 ? [`${foreign} objects that Remex has not made, left alone`] : []),
    "",
  ].join("\n");
}
