import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATHS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where Chromium is; undefined if this machine has none. */
export const CHROMIUM = PATHS.find((path) => existsSync(path));

/** Starts Chromium. Without a sandbox of its own: tests run as root, and visit nothing but the Worker on this machine. */
export function startBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error("there is no Chromium here");
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
}
