import type { Logger } from "pino";
import { z } from "zod";

/** What the Worker's own log writes: src/log.ts. */
const entrySchema = z.looseObject({ level: z.string(), message: z.string() });

/**
 * Carries a line of workerd's output into our log: the Worker's own entries with their fields, anything else as it is.
 * @param level of the console method that wrote it
 */
export function logWorkerLine(logger: Logger, level: string, line: string): void {
  const entry = parseEntry(line);
  if (entry === undefined) {
    logger[pinoLevel(level)](line);
  } else {
    const { level: entryLevel, message, ...fields } = entry;
    logger[pinoLevel(entryLevel)](fields, message);
  }
}

function parseEntry(line: string): z.infer<typeof entrySchema> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return entrySchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

/** workerd's levels are those of the console's methods. */
function pinoLevel(level: string): "error" | "warn" | "info" | "debug" {
  switch (level) {
    case "error":
    case "warn":
    case "debug":
      return level;
    default:
      return "info";
  }
}
