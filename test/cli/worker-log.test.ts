import { pino } from "pino";
import { expect, it } from "vitest";
import { logWorkerLine } from "../../cli/worker-log.ts";

it.each([
  [
    "an entry of the Worker's log",
    "log",
    '{"level":"warn","message":"slow","ms":12}',
    { level: 40, msg: "slow", ms: 12 },
  ],
  ["a line of text", "error", "boom", { level: 50, msg: "boom" }],
  ["JSON that is no entry", "log", '{"a":1}', { level: 30, msg: '{"a":1}' }],
  ["what only begins like JSON", "debug", "{ a: 1 }", { level: 20, msg: "{ a: 1 }" }],
])("%s keeps its level and its fields", (_what, level, line, logged) => {
  const written: unknown[] = [];
  const logger = pino(
    { level: "debug", base: null, timestamp: false },
    { write: (text) => written.push(JSON.parse(text)) },
  );

  logWorkerLine(logger, level, line);

  expect(written).toEqual([logged]);
});
