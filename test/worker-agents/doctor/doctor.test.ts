import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { checkAccess, checkClock, checkEndpoint, checkProxy } from "../../../worker-agents/doctor/check-endpoint.ts";
import {
  checkControlGroups,
  checkSandbox,
  checkSpace,
  checkToolchain,
  checkUser,
  checkWorkDirectory,
} from "../../../worker-agents/doctor/check-machine.ts";
import type { Finding } from "../../../worker-agents/doctor/finding.ts";
import { ConnectProxy, PROXIED_HOST, proxied } from "../../endpoint/connect-proxy.ts";
import { SocksProxy } from "../../endpoint/socks-proxy.ts";
import { SILENT, startPeer, temporaryDirectory } from "../running-agent.ts";

function said({ about, state, text }: Finding): string {
  return `${state} ${about}: ${text}`;
}

it("an endpoint that is not there, or is something else, is broken", async () => {
  const [absent] = (await checkEndpoint(new URL("http://127.0.0.1:1"))).map(said);
  expect(absent).toMatch(/^broken endpoint: .* can't be reached.*--endpoint/);
  const { endpoint } = await startPeer();
  const [other, clock] = (await checkEndpoint(endpoint)).map(said);
  expect(other).toMatch(/^broken endpoint: .*is it a Remex Worker\?/);
  expect(clock).toMatch(/^well clock/);
});

it("a clock that is far off is broken", () => {
  const date = "Wed, 25 Nov 2026 12:00:00 GMT";
  const now = Date.parse(date);
  expect(said(checkClock(date, now + 20_000))).toMatch(/^well/);
  expect(said(checkClock(date, now + 90_000))).toMatch(/^broken clock: 90 s ahead of/);
  expect(said(checkClock(date, now - 90_000))).toMatch(/^broken clock: 90 s behind/);
  expect(said(checkClock(undefined, now))).toMatch(/^doubtful/);
});

it("a token that the endpoint refuses is broken, and one that it takes is well", async () => {
  const peer = await startPeer();
  expect(said(await checkAccess(peer.endpoint, "main", "secret", SILENT))).toMatch(/^well/);
  expect(peer.upgrades[0]?.headers.authorization).toBe("Bearer secret");
  peer.refuseWith = 401;
  const refused = said(await checkAccess(peer.endpoint, "main", undefined, SILENT));
  expect(refused).toMatch(/^broken access: an agent without a token is not accepted.*--token-file/);
  peer.refuseWith = 403;
  expect(said(await checkAccess(peer.endpoint, "main", "secret", SILENT))).toMatch(
    /^broken access: this token may not/,
  );
});

it("a work directory is looked at: whether it can be used, its room, its links", async () => {
  const directory = await temporaryDirectory();
  const well = await checkWorkDirectory(join(directory, "work"), SILENT);
  expect(well.map(({ about }) => about)).toEqual(["work directory", "disk space", "hard links", "symlinks"]);
  await writeFile(join(directory, "file"), "");
  const broken = await checkWorkDirectory(join(directory, "file", "work"), SILENT);
  expect(broken.map(said)).toEqual([expect.stringMatching(/^broken work directory: .*ENOTDIR.*--work-dir/)]);
  expect([1e6, 1e9, 1e12].map((free) => checkSpace(free).state)).toEqual(["broken", "doubtful", "well"]);
});

it("a sandbox that can't be had is broken only if it was asked for", async () => {
  const scratch = join(await temporaryDirectory(), "scratch");
  // Nothing runs without a C library, whether there is a bubblewrap or not.
  expect(said(await checkSandbox("auto", { paths: ["/etc"] }, scratch, SILENT))).toMatch(/^doubtful/);
  expect(said(await checkSandbox("bwrap", { paths: ["/etc"] }, scratch, SILENT))).toMatch(/^broken/);
});

it("an agent that is root is doubtful", () => {
  expect(said(checkUser(0))).toMatch(/^doubtful user: it is root/);
  for (const userId of [1000, undefined]) expect(said(checkUser(userId))).toMatch(/^well user/);
});

it("control groups that the agent is not to use are not tried", async () => {
  expect(said(await checkControlGroups("none"))).toMatch(/^doubtful control groups: off, by --control-groups none/);
});

it("a compiler that is not there is said", async () => {
  expect(said(await checkToolchain(await temporaryDirectory()))).toMatch(/^doubtful/);
  const tools = await temporaryDirectory();
  await writeFile(join(tools, "clang"), "", { mode: 0o755 });
  expect(said(await checkToolchain(tools))).toBe(`well toolchain: ${tools}/clang is there`);
});

it("a proxy is asked whether it leads to the endpoint", async () => {
  const { endpoint } = await startPeer();
  const proxy = await ConnectProxy.start();
  const check = async (url: string) => said(await checkProxy(proxied(endpoint), { HTTP_PROXY: url }));
  const place = `${PROXIED_HOST}:${endpoint.port}`;

  expect(said(await checkProxy(proxied(endpoint), { https_proxy: proxy.url }))).toBe(
    `well proxy: none is used for ${place}`,
  );
  expect(await check(proxy.url)).toBe(`well proxy: the proxy ${proxy.url} (HTTP_PROXY) leads to ${place}`);
  proxy.refuseWith = 403;
  expect(await check(proxy.url)).toMatch(/^broken proxy: .* refuses CONNECT/);
  proxy.credentials = "user:password";
  expect(await check(proxy.url)).toMatch(/^broken proxy: .* asks for credentials/);
  expect(await check("http://127.0.0.1:1")).toMatch(/^broken proxy: .* can't be reached: .*ECONNREFUSED/);
  expect(await check("socks4://127.0.0.1:1")).toMatch(/^broken proxy: HTTP_PROXY is no URL of a proxy/);
  const socks = await SocksProxy.start();
  expect(await check(socks.url)).toBe(`well proxy: the proxy ${socks.url} (HTTP_PROXY) leads to ${place}`);
});
