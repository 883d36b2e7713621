import { createContextKey } from "@connectrpc/connect";
import type { ExecutionLogFields } from "../execution/log-fields.ts";

/** What the log is to say of the call that a service serves, where it says anything. */
export const callLogKey = createContextKey<ExecutionLogFields>({}, { description: "what the log says of the call" });
