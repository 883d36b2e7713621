import { expect, it } from "vitest";
import { exitCodeOf, exitText, refusalByOperatingSystem } from "../../../worker-agents/runner/exit-code.ts";

it("is an int32, which those of Windows are not", () => {
  expect([0, 3, 255, 0xc0000005, 0xffffffff].map((code) => exitCodeOf(code, null))).toEqual([
    0, 3, 255, -1073741819, -1,
  ]);
  expect(exitCodeOf(null, "SIGKILL")).toBe(137);
});

it("tells of a signal where there are signals, and of a crash as Windows names it", () => {
  expect(exitText(139, false, "linux")).toBe("exit code 139, as of SIGSEGV");
  expect([false, true].map((known) => exitText(137, known, "linux"))).toEqual([
    "exit code 137, as of SIGKILL; the machine may have had no memory left",
    "exit code 137, as of SIGKILL",
  ]);
  expect(exitText(255, false, "linux")).toBe("exit code 255");
  expect(exitText(139, false, "win32")).toBe("exit code 139");
  expect(exitText(-1073741819, false, "win32")).toBe("exit code -1073741819 (0xC0000005)");
});

it("is that of a shell for what the operating system would not run, and none where the machine is at fault", () => {
  const refusal = (code: string): number | undefined =>
    refusalByOperatingSystem(Object.assign(new Error(code), { code }))?.exitCode;
  expect(["ENOENT", "EACCES", "ENOEXEC", "EFTYPE", "ENAMETOOLONG"].map(refusal)).toEqual([127, 126, 126, 126, 126]);
  expect(["EAGAIN", "ENOMEM", "EINVAL"].map(refusal)).toEqual([undefined, undefined, undefined]);
});
