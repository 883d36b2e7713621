import { createContextKey } from "@connectrpc/connect";
import type { Release } from "../memory/memory-budget.ts";

/** Gives back what an open call takes, once its caller is known. */
export const openCallKey = createContextKey<Release>(() => undefined, { description: "ends the count of the call" });
