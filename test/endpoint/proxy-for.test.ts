import { expect, test } from "vitest";
import { describeProxy, proxyFor } from "../../endpoint/proxy-for.ts";

const PROXY = "http://proxy:3128";

test.each([
  ["https://remex.example.com", { https_proxy: PROXY }, PROXY],
  ["https://remex.example.com", { HTTPS_PROXY: PROXY }, PROXY],
  ["wss://remex.example.com", { HTTPS_PROXY: PROXY }, PROXY],
  ["https://remex.example.com", { HTTPS_PROXY: "http://other:1", https_proxy: PROXY }, PROXY],
  ["https://remex.example.com", { http_proxy: PROXY }, undefined],
  ["http://remex.example.com", { http_proxy: PROXY }, PROXY],
  ["ws://remex.example.com", { HTTP_PROXY: PROXY }, PROXY],
  ["http://remex.example.com", { https_proxy: PROXY }, undefined],
  ["https://remex.example.com", { ALL_PROXY: PROXY }, PROXY],
  ["https://remex.example.com", { https_proxy: "" }, undefined],
  ["https://remex.example.com", { https_proxy: "proxy:3128" }, PROXY],
  ["https://remex.example.com", { https_proxy: "https://proxy:3128/" }, "https://proxy:3128"],
  ["https://remex.example.com", {}, undefined],
  ["https://remex.example.com", { ALL_PROXY: "socks5://proxy" }, "socks5://proxy"],
  ["https://remex.example.com", { HTTPS_PROXY: "socks5h://proxy:1080" }, "socks5h://proxy:1080"],
  ["http://localhost:8787", { http_proxy: PROXY }, undefined],
  ["http://127.0.0.1:8787", { all_proxy: PROXY }, undefined],
  ["http://[::1]:8787", { http_proxy: PROXY }, undefined],
])("%s with %j is reached through %s", (endpoint, environment, proxy) => {
  const found = proxyFor(new URL(endpoint), environment)?.url;
  expect(found && `${found.protocol}//${found.host}`).toBe(proxy);
});

test.each([
  ["https://remex.example.com", "remex.example.com", true],
  ["https://remex.example.com", "example.com", true],
  ["https://remex.example.com", ".example.com", true],
  ["https://remex.example.com", "*.example.com", true],
  ["https://REMEX.example.com", "a.test, Example.COM", true],
  ["https://remex.example.com", "other.test example.com", true],
  ["https://remex.example.com", "*", true],
  ["https://remex.example.com", "example.com:443", true],
  ["https://remex.example.com:8443", "example.com:443", false],
  ["https://remex.example.com", "ple.com", false],
  ["https://remex.example.com", "x.remex.example.com", false],
  ["https://remex.example.com", "", false],
  ["https://remex.example.com", ".", false],
  ["http://10.1.2.3", "10.0.0.0/8", true],
  ["http://11.1.2.3", "10.0.0.0/8", false],
  ["http://10.1.2.3", "10.1.2.3", true],
  ["http://10.1.2.3:8787", "10.1.2.3:8787", true],
  ["http://10.1.2.3", "10.0.0.0/99", false],
  ["http://[fd00::7]", "fd00::/8", true],
  ["http://[fd00::7]:8787", "[fd00::7]:8787", true],
  ["http://[fd00::7]:8787", "[fd00::7]:8788", false],
])("%s with NO_PROXY=%s is reached directly: %s", (endpoint, exceptions, directly) => {
  const environment = { all_proxy: PROXY, NO_PROXY: exceptions };
  expect(proxyFor(new URL(endpoint), environment) === undefined).toBe(directly);
});

test("what is no proxy is said by the name of its variable, without its value", () => {
  const endpoint = new URL("https://remex.example.com");
  for (const value of ["socks4://user:secret@proxy:1080", "http://user:secret@:1:2", "socks5://", "socks5:///secret"]) {
    expect(() => proxyFor(endpoint, { HTTPS_PROXY: value })).toThrow(
      /^HTTPS_PROXY is no URL of a proxy, (?!.*secret).* http:\/\/, https:\/\/, socks5:\/\/, socks5h:\/\/$/,
    );
  }
});

test("a proxy's password is not printed", () => {
  const proxy = proxyFor(new URL("https://remex.example.com"), { HTTPS_PROXY: "http://user:secret@proxy:3128" });
  expect(proxy && describeProxy(proxy)).toBe("the proxy http://proxy:3128 (HTTPS_PROXY)");
});
