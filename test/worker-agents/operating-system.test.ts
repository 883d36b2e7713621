import { expect, it } from "vitest";
import {
  machineArchitecture,
  meansSomethingElse,
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

it("knows what Windows would not take for one name", () => {
  const names = ["a\\b", "c:", "file:stream", "NUL", "con.txt", "Com1", "dot.", "space "];
  expect(names.map((name) => meansSomethingElse(name, "win32"))).toEqual(names.map(() => true));
  expect(names.map((name) => meansSomethingElse(name, "linux"))).toEqual(names.map(() => false));
  const plain = ["console", "com10", ".hidden", "a.b", "null"];
  expect(plain.map((name) => meansSomethingElse(name, "win32"))).toEqual(plain.map(() => false));
});

it("tells the targets of symlinks as REAPI has them", () => {
  expect(portableTarget("..\\lib\\a", "win32")).toBe("../lib/a");
  expect(portableTarget("back\\slash", "linux")).toBe("back\\slash");
});
