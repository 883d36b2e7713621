import { expect, it } from "vitest";
import {
  isNoName,
  machineArchitecture,
  mayBeEmptied,
  mayBeSameName,
  mayPass,
  osFamily,
  portableTarget,
} from "../../worker-agents/operating-system.ts";

it("names operating systems and processors as people do in platform properties", () => {
  expect((["linux", "darwin", "win32", "freebsd"] as const).map(osFamily)).toEqual([
    "linux",
    "macos",
    "windows",
    "freebsd",
  ]);
  expect(["x64", "arm64", "ia32", "riscv64"].map(machineArchitecture)).toEqual([
    "x86_64",
    "aarch64",
    "i686",
    "riscv64",
  ]);
});

it("knows what Windows would not take for a name", () => {
  const names = ["a\\b", "c:", "file:stream", "NUL", "con.txt", "Com1", "dot.", "space "];
  names.push("nul .txt", "CONIN$", "a?b", "a*", "<a", "a>", 'a"b', "a|b", "tab\t", "n".repeat(256));
  expect(names.map((name) => isNoName(name, "win32"))).toEqual(names.map(() => true));
  expect(names.map((name) => isNoName(name, "linux"))).toEqual(names.map(() => false));
  const plain = ["console", "com10", ".hidden", "a.b", "null", "naïve (1)", "a b", "conin", "n".repeat(255)];
  expect(plain.map((name) => isNoName(name, "win32"))).toEqual(plain.map(() => false));
});

it("tells the targets of symlinks as REAPI has them", () => {
  expect(portableTarget("..\\lib\\a", "win32")).toBe("../lib/a");
  expect(portableTarget("back\\slash", "linux")).toBe("back\\slash");
});

it("knows what may go well a moment later: on Windows, what a process still has open", () => {
  const failed = (code: string): Error => Object.assign(new Error(code), { code });
  const codes = ["EBUSY", "ENOTEMPTY", "EPERM", "EACCES", "ENOENT", "ENOSPC"];
  expect(codes.filter((code) => mayPass(failed(code), "win32"))).toEqual(["EBUSY", "ENOTEMPTY", "EPERM", "EACCES"]);
  expect(codes.filter((code) => mayPass(failed(code), "linux"))).toEqual(["EBUSY", "ENOTEMPTY"]);
});

it("knows by its mode whether a directory can be emptied: Windows' have no executable bits", () => {
  const modes = [0o40777, 0o40700, 0o40666, 0o40500, 0o40444];
  expect(modes.filter((mode) => mayBeEmptied(mode, "linux"))).toEqual([0o40777, 0o40700]);
  expect(modes.filter((mode) => mayBeEmptied(mode, "win32"))).toEqual([0o40777, 0o40700, 0o40666]);
});

it("takes names for the same that a file system may", () => {
  expect(mayBeSameName("Out", "oUT")).toBe(true);
  expect(mayBeSameName("caf\u00e9", "CAFE\u0301")).toBe(true);
  expect(mayBeSameName("out", "out2")).toBe(false);
});
