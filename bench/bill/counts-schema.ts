import { z } from "zod";
import { COUNT_NAMES } from "../../src/billing/counts.ts";

/** Counts as the counted Worker tells them. */
export const countsSchema = z.record(z.enum(COUNT_NAMES), z.number());
