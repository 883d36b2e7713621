import { Option } from "commander";
import { type Level, levels, type Logger, pino } from "pino";
import pretty from "pino-pretty";

/** `--log-level`, the same for every command. */
export function logLevelOption(byDefault: Level): Option {
  return new Option("--log-level <level>", "the least grave events to log, on stderr")
    .choices(Object.keys(levels.values))
    .default(byDefault)
    .env("REMEX_LOG_LEVEL");
}

/** Logs to stderr: lines of JSON, or text for people if stderr is a terminal. */
export function createLogger(level: string): Logger {
  const stderr = process.stderr.fd;
  return process.stderr.isTTY
    ? pino(
        { level },
        pretty({
          destination: stderr,
          sync: true,
          singleLine: true,
          ignore: "pid,hostname,part",
          messageFormat: "{if part}{part}: {end}{msg}",
        }),
      )
    : pino({ level }, pino.destination({ dest: stderr, sync: true }));
}
