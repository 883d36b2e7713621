import { type Browser, chromium } from "playwright-core";
import { CHROMIUM } from "../../e2e/tools.ts";

/** Starts Chromium. Without a sandbox of its own: tests run as root, and visit nothing but the Worker on this machine. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM.path, args: ["--no-sandbox", "--disable-gpu"] });
}
