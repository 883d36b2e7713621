import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test, vi } from "vitest";
import { TUNNEL_TIMEOUT_MS } from "../../endpoint/proxy-error.ts";
import { proxyFor } from "../../endpoint/proxy-for.ts";
import { openTunnel } from "../../endpoint/tunnel.ts";
import { SocksProxy } from "./socks-proxy.ts";

/** A server in clear text, as `serve` has it. */
async function listen(serve: (client: Socket) => void): Promise<number> {
  const server = createServer((client) => {
    serve(client.on("error", () => undefined));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return address.port;
}

/** Opens a tunnel through the proxy that `ALL_PROXY` names. */
function tunnel(url: string, host: string, port: number): Promise<Socket> {
  const proxy = proxyFor(new URL("https://remex.example.com"), { ALL_PROXY: url });
  if (proxy === undefined) throw new Error("there is a proxy");
  return openTunnel(proxy, host, port);
}

/** A host that speaks before it is spoken to: its words must not be taken for the proxy's. */
const speaking = () => listen((client) => client.end("words of the host"));

test("a proxy is asked for names and addresses as they are, and what the host says comes through", async () => {
  const proxy = await SocksProxy.start();
  const port = await speaking();
  const hosts = {
    "endpoint.test": "endpoint.test",
    "192.0.2.7": "c0000207",
    "2001:db8::7:10": "20010db8000000000000000000070010",
    "::1": "00000000000000000000000000000001",
    "fd00::": "fd000000000000000000000000000000",
    "2001:db8:1:2:3:4:5:6": "20010db8000100020003000400050006",
  };
  for (const [host, asked] of Object.entries(hosts)) {
    for (const url of asked === host ? [proxy.url] : [proxy.url, proxy.url.replace("socks5h:", "socks5:")]) {
      expect(await text(await tunnel(url, host, port))).toBe("words of the host");
      expect(proxy.asked.pop()).toBe(`${asked}:${port}`);
    }
  }
});

test("with socks5: this machine looks the name up", async () => {
  const proxy = await SocksProxy.start();
  const port = await speaking();
  const url = proxy.url.replace("socks5h:", "socks5:");
  expect(await text(await tunnel(url, "localhost", port))).toBe("words of the host");
  expect(["7f000001", "00000000000000000000000000000001"]).toContain(proxy.asked.pop()?.split(":")[0]);
  await expect(tunnel(url, "endpoint.invalid", port)).rejects.toThrow(
    /^the proxy socks5:.* \(ALL_PROXY\) was not asked: this machine can't look up endpoint\.invalid .*socks5h:\/\//,
  );
  expect(proxy.asked).toEqual([]);
});

test.each([
  ["IPv4", [1, 10, 0, 0, 1]],
  ["IPv6", [4, ...Buffer.alloc(16, 7)]],
  ["a name", [3, 2, 104, 105]],
])("where the proxy is bound may be %s", async (_kind, bound) => {
  const proxy = await SocksProxy.start();
  proxy.bound = bound;
  expect(await text(await tunnel(proxy.url, "endpoint.test", await speaking()))).toBe("words of the host");
});

test("a proxy may take its time over each byte", async () => {
  const answer = Buffer.from("\x05\x00\x05\x00\x00\x03\x02hi\x00\x00words of the host", "latin1");
  const port = await listen((client) => {
    const write = (at: number): void => {
      if (at === answer.length) client.end();
      else client.write(answer.subarray(at, at + 1), () => setImmediate(write, at + 1));
    };
    write(0);
  });
  expect(await text(await tunnel(`socks5h://127.0.0.1:${port}`, "endpoint.test", 443))).toBe("words of the host");
});

test("a proxy that asks for a user and a password gets those of its URL", async () => {
  const proxy = await SocksProxy.start();
  const port = await speaking();
  const withCredentials = proxy.url.replace("//", "//me%40work:p%40ss@");
  expect(await text(await tunnel(withCredentials, "endpoint.test", port))).toBe("words of the host");
  proxy.credentials = "me@work:p@ss";
  expect(await text(await tunnel(withCredentials, "endpoint.test", port))).toBe("words of the host");
  await expect(tunnel(proxy.url.replace("//", "//me:secret@"), "endpoint.test", port)).rejects.toThrow(
    /^(?!.*secret).* does not accept the user and password in its URL$/,
  );
  await expect(tunnel(proxy.url, "endpoint.test", port)).rejects.toThrow(
    / asks for credentials: give them as socks5h:\/\/user:password@host:port$/,
  );
});

test("what is wrong with a proxy is said in words", async () => {
  const proxy = await SocksProxy.start();
  const says = (what: string, url = proxy.url) =>
    expect(tunnel(url, "endpoint.test", 443)).rejects.toThrow(`the proxy ${url} (ALL_PROXY) ${what}`);
  proxy.refuseWith = 2;
  await says("refuses to connect to endpoint.test:443: have it allowed there");
  proxy.refuseWith = 5;
  await says("can't connect to endpoint.test:443 (the connection was refused)");
  proxy.refuseWith = 99;
  await says("can't connect to endpoint.test:443 (code 99)");

  await says("can't be reached: connect ECONNREFUSED 127.0.0.1:1; check the variable", "socks5h://127.0.0.1:1");
  const answering = async (answer: string) => `socks5h://127.0.0.1:${await listen((client) => client.end(answer))}`;
  await says("can't be reached: it closed the connection;", await answering(""));
  await says("can't be reached: it closed the connection;", await answering("\x05"));
  await says("can't be reached: it does not speak SOCKS5;", await answering("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const noRoom = "SOCKS5 has no room for a user or password of more than 255 bytes";
  proxy.credentials = `me:${"ö".repeat(128)}`;
  await expect(tunnel(proxy.url.replace("//", `//${proxy.credentials}@`), "endpoint.test", 443)).rejects.toThrow(
    noRoom,
  );
  await says("can't be reached: it does not keep to SOCKS5;", await answering("\x05\x02"));
  await says("can't be reached: it does not keep to SOCKS5;", await answering("\x05\x00\x05\x00\x00\x09"));
  // The rest of such a reply is not the host's words.
  await says(
    "can't be reached: it does not keep to SOCKS5;",
    await answering("\x05\x00\x05\x00\x00\x09\x7f\x00\x00\x01\x00\x00"),
  );
  await says("can't be reached: it closed the connection;", await answering("\x05\x00\x05\x00\x00\x01\x7f"));
});

test.each([
  // What it is asked until then: how to authenticate, and to connect.
  ["nothing", "", 3],
  ["half of its first answer", "\x05", 3],
  ["half of its reply", "\x05\x00\x05\x00\x00\x01\x7f", 3 + 20],
])(
  "a proxy that says %s and no more is given up in time, and its connection closed",
  async (_what, words, askedBytes) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const asked = Promise.withResolvers<Socket>();
    const port = await listen((client) => {
      client.write(Buffer.from(words, "latin1"));
      client.on("data", () => {
        if (client.bytesRead >= askedBytes) asked.resolve(client);
      });
    });
    const opened = tunnel(`socks5h://127.0.0.1:${port}`, "endpoint.test", 443);
    const refused = expect(opened).rejects.toThrow(/ can't be reached: no answer within 10 s; check the variable/);
    const client = await asked.promise;
    const closed = once(client, "close");
    vi.advanceTimersByTime(TUNNEL_TIMEOUT_MS);
    await refused;
    await closed;
  },
);
