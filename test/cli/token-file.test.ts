import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, it, onTestFinished, vi } from "vitest";
import { Fault } from "../../cli/fault.ts";
import { renewedToken } from "../../cli/token-file.ts";

const SILENT = pino({ level: "silent" });

function tokenFile(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "remex-token-"));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, "token");
  writeFileSync(path, text);
  return path;
}

it("a token that is renewed in its file is used soon after, and one that can't be read is not", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const path = tokenFile("one\n");
  const token = renewedToken(path, SILENT);
  expect(token()).toBe("one");
  writeFileSync(path, "two\n");
  expect(token()).toBe("one");
  vi.advanceTimersByTime(10_000);
  expect(token()).toBe("two");
  writeFileSync(path, "");
  vi.advanceTimersByTime(10_000);
  expect(token()).toBe("two");
  writeFileSync(path, "three");
  vi.advanceTimersByTime(10_000);
  expect(token()).toBe("three");
});

it("a file without a token is refused at the start", () => {
  expect(() => renewedToken(tokenFile("two words"), SILENT)).toThrow(Fault);
});
