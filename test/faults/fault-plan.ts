import { z } from "zod";

/** Where the faulty Worker is told what is to go wrong (POST) and says what has happened (GET). */
export const FAULTS_PATH = "/test/faults";

/** Kills the shard of this name (`?shard=`), as the platform may do at any moment; the next call starts it again. */
export const KILL_PATH = "/test/kill";

/**
 * What goes wrong at one of the calls that leave the Worker or a CacheShard object, to R2 or to an object:
 * - die: whoever makes the call is killed, before or after the call has had its effect;
 * - fail: the call throws, before or after it has had its effect;
 * - cut-body, break-body: the object that the call gets ends in its middle, or breaks there.
 */
export const faultPlanSchema = z.object({
  /** Which of the calls that `of` lets through, from 1 on. */
  at: z.int().positive(),
  effect: z.enum(["die-before", "die-after", "fail-before", "fail-after", "cut-body", "break-body"]),
  /** How many calls in a row fail; those who die do so once. */
  times: z.int().positive().default(1),
  /** The names of the calls that are counted, such as `R2 put`; all, if it is empty. */
  of: z.array(z.string()).default([]),
});

export type FaultPlan = z.input<typeof faultPlanSchema>;

/** What has happened since the last plan was made. */
export const faultReportSchema = z.object({
  /** The calls that were counted, in order, with the side that made each. */
  calls: z.array(z.string()),
  /** Whether the fault has come about. */
  happened: z.boolean(),
});

export type FaultReport = z.infer<typeof faultReportSchema>;
