import { expect, it, onTestFinished, vi } from "vitest";
import { ProgressLine } from "../../../cli/progress-line.ts";
import { checkStore } from "../../../cli/store/check-store.ts";
import { startRawEndpoint } from "../../bridge/endpoints.ts";

const SOUND = { objects: 1000, indexed: 900, missing: [], unused: [], young: 0, foreign: 0 };

/** An endpoint that answers the parts of a check in turn. */
async function startStore(parts: readonly object[]): Promise<URL> {
  const left = [...parts];
  return startRawEndpoint((request, response) => {
    request.resume().once("end", () => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(left.shift()));
    });
  });
}

it("tells after each part how far it has come, of about how much, though nothing is wrong", async () => {
  const endpoint = await startStore([
    { ...SOUND, next: `sha256/40${"0".repeat(62)}` },
    { ...SOUND, missing: ["sha256/gone/1"], next: `sha256/80${"0".repeat(62)}` },
    { ...SOUND, next: `sha256/ff${"f".repeat(62)}` },
    { ...SOUND, next: "blake3/" },
    { ...SOUND, objects: 0, indexed: 0, next: null },
  ]);
  const lines: string[] = [];
  const push = (line: string) => lines.push(line);
  const report = await checkStore(
    { endpoint, token: undefined, store: "STORE" },
    { dryRun: true, graceS: 0 },
    { say: push, progress: push },
  );
  expect(lines).toEqual([
    "sha256: part 1 of about 4 done, 900 blobs and 1000 objects compared",
    "missing  sha256/gone/1",
    "sha256: part 2 of about 4 done, 1800 blobs and 2000 objects compared",
    "sha256: part 3 of about 4 done, 2700 blobs and 3000 objects compared",
    "blake3: begun, 3600 blobs and 4000 objects compared",
  ]);
  expect(report).toMatchObject({ indexed: 3600, objects: 4000, missing: 1 });
});

it("shows progress on a terminal in one line, which makes way for others", () => {
  const written: string[] = [];
  const line = new ProgressLine({ isTTY: true, write: (text) => written.push(text) });
  line.clear();
  line.show("one");
  line.show("two");
  line.clear();
  line.clear();
  expect(written).toEqual(["\rone\u001b[K", "\rtwo\u001b[K", "\r\u001b[K"]);
});

it("shows progress elsewhere by a line every ten seconds", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const written: string[] = [];
  const line = new ProgressLine({ write: (text) => written.push(text) });
  for (let second = 0; second <= 25; second++) {
    line.show(`after ${second} s`);
    vi.advanceTimersByTime(1000);
  }
  line.clear();
  expect(written).toEqual(["after 10 s\n", "after 20 s\n"]);
});
