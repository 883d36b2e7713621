import { z } from "zod";

export const amountsSchema = z.object({
  inlineBlobs: z.number(),
  inlineBytes: z.number(),
  objectBlobs: z.number(),
  objectBytes: z.number(),
  actionResults: z.number(),
  actionResultBytes: z.number(),
});

/** What a shard holds: blobs in rows, blobs in R2, action results; how many of each, and how many bytes. */
export type Amounts = z.infer<typeof amountsSchema>;

/** What comes or goes at once. */
export type Change = Partial<Amounts>;
