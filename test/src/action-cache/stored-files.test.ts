import { expect, test } from "vitest";
import { StoredFiles } from "../../../src/action-cache/stored-files.ts";
import { DIGEST_FUNCTIONS } from "../../../src/digest/digest-function.ts";
import { parseDigest, type Digest } from "../../../src/digest/digest.ts";
import { tryTakeMemory } from "../../../src/memory/isolate-memory.ts";

const ALL_BYTES = 48 << 20;

const [sha256] = DIGEST_FUNCTIONS.filter(({ name }) => name === "sha256");
if (sha256 === undefined) throw new Error("SHA-256 is always known");
const digests = Array.from({ length: 25_500 }, (_, i) => parseDigest(sha256, i.toString(16).padStart(64, "0"), i));

/** Says what it is asked for, and that one digest alone is missing. */
function store(missing?: Digest) {
  const asked: (readonly Digest[])[] = [];
  const files = new StoredFiles((digests) => {
    asked.push(digests);
    return Promise.resolve(digests.filter((digest) => digest === missing));
  });
  return { asked, files };
}

async function addAll(files: StoredFiles, pieceFiles: number): Promise<boolean> {
  for (let at = 0; at < digests.length; at += pieceFiles) {
    if (!(await files.add(digests.slice(at, at + pieceFiles)))) return false;
  }
  return files.areAllStored();
}

function isAllFree(): boolean {
  const all = tryTakeMemory(ALL_BYTES);
  all?.();
  return all !== undefined;
}

test.each([1, 700, 10_000, 30_000])("each file is looked for once, and never very many at once (%i)", async (piece) => {
  const { asked, files } = store();
  expect(await addAll(files, piece)).toBe(true);
  expect(asked.flat()).toEqual(digests);
  expect(asked.length).toBe(3);
  expect(Math.max(...asked.map(({ length }) => length))).toBeLessThanOrEqual(10_000);
  expect(isAllFree()).toBe(true);
});

test("those that wait take memory, and where there is none they don't wait", async () => {
  const { asked, files } = store();
  expect(await files.add(digests.slice(0, 9000))).toBe(true);
  expect(asked).toEqual([]);
  expect(isAllFree()).toBe(false);
  files.close();
  expect(isAllFree()).toBe(true);

  const all = tryTakeMemory(ALL_BYTES);
  const pressed = store();
  expect(await addAll(pressed.files, 300)).toBe(true);
  expect(pressed.asked.flat()).toEqual(digests);
  expect(Math.max(...pressed.asked.map(({ length }) => length))).toBeLessThanOrEqual(1000);
  all?.();
});

test("it ends with the first that is missing, or when nobody wants to know any more", async () => {
  const { asked, files } = store(digests[4]);
  expect(await addAll(files, 1000)).toBe(false);
  expect(asked.length).toBe(1);
  const closed = store();
  closed.files.close();
  expect(await addAll(closed.files, 1000)).toBe(false);
  expect(closed.asked).toEqual([]);
  expect(isAllFree()).toBe(true);
});
