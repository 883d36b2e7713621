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

/**
 * Checks a store, part by part.
 * @param say gets a line for each thing that is wrong
 * @throws Fault
 */
export async function checkStore(
  store: StoreEndpoint,
  { dryRun, graceS, partSize }: CheckFlags,
  say: (line: string) => void,
): Promise<CheckReport> {
  const report = { objects: 0, indexed: 0, missing: 0, unused: 0, young: 0, foreign: 0 };
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
  }
  return report;
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
