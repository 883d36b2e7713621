type Fields = Readonly<Record<string, unknown>>;

/** One JSON object a line, for the platform's log. */
export const log = {
  info(fields: Fields, message: string): void {
    console.info(line("info", fields, message));
  },
  warn(fields: Fields, message: string): void {
    console.warn(line("warn", fields, message));
  },
  error(fields: Fields, message: string): void {
    console.error(line("error", fields, message));
  },
};

function line(level: string, fields: Fields, message: string): string {
  return JSON.stringify({ level, message, ...fields }, (_key, value: unknown) =>
    value instanceof Error
      ? { name: value.name, message: value.message, stack: value.stack, cause: value.cause }
      : value,
  );
}
