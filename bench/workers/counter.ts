import { noCounts } from "../../src/billing/counts.ts";

/** In workerd the Worker and its objects share one isolate, and so they share this. */
export const counts = noCounts();

const databaseBytes = new Map<string, number>();

/** Notes the size of an object's database. */
export function noteDatabaseSize(objectId: string, bytes: number): void {
  counts.objectStoredBytes += bytes - (databaseBytes.get(objectId) ?? 0);
  databaseBytes.set(objectId, bytes);
}
