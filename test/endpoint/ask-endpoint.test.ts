import { expect, test } from "vitest";
import { askEndpoint } from "../../endpoint/ask-endpoint.ts";
import { startRawEndpoint } from "../bridge/endpoints.ts";
import { ConnectProxy, PROXIED_HOST, proxied, useProxy } from "./connect-proxy.ts";

const QUESTION = { timeoutMs: 20_000 };

async function startEcho(): Promise<URL> {
  return startRawEndpoint((request, response) => {
    response.writeHead(202, { "x-method": request.method });
    request.pipe(response);
  });
}

test("an answer comes directly where there is no proxy, and through the proxy where there is one", async () => {
  const endpoint = await startEcho();
  const proxy = await ConnectProxy.start();
  useProxy(proxy.url);
  const question = { ...QUESTION, method: "POST", body: "what?" } as const;

  expect(await askEndpoint(endpoint, question)).toMatchObject({ status: 202, text: "what?" });
  expect(proxy.asked).toEqual([]);
  const answer = await askEndpoint(proxied(endpoint), question);
  expect(answer).toMatchObject({ status: 202, text: "what?", headers: { "x-method": "POST" } });
  expect(proxy.asked).toEqual([`${PROXIED_HOST}:${endpoint.port}`]);
});

test("a proxy that asks for credentials gets those of its URL", async () => {
  const endpoint = await startEcho();
  const proxy = await ConnectProxy.start();
  proxy.credentials = "me@work:p@ss";
  useProxy(proxy.url.replace("//", "//me%40work:p%40ss@"));
  expect(await askEndpoint(proxied(endpoint), QUESTION)).toMatchObject({ status: 202 });
});

test("an endpoint that doesn't answer in time is said to", async () => {
  const endpoint = await startRawEndpoint(() => undefined);
  await expect(askEndpoint(endpoint, { timeoutMs: 1 })).rejects.toThrow("no answer within 0.001 s");
});

test("what is wrong with a proxy is said in words", async () => {
  const proxy = await ConnectProxy.start();
  const url = proxied(await startEcho());
  const place = `${PROXIED_HOST}:${url.port}`;
  const says = (text: string) =>
    expect(askEndpoint(url, QUESTION)).rejects.toThrow(`the proxy ${proxy.url} (http_proxy) ${text}`);

  useProxy(proxy.url);
  proxy.refuseWith = 403;
  await says(`refuses CONNECT to ${place} (HTTP 403 No): have it allowed there`);
  proxy.refuseWith = 502;
  await says(`can't connect to ${place} (HTTP 502 No)`);
  proxy.credentials = "user:password";
  await says("asks for credentials (HTTP 407): give them as http://user:password@host:port");
  useProxy(proxy.url.replace("//", "//user:wrong@"));
  await says("does not accept the user and password in its URL (HTTP 407)");
  useProxy("http://127.0.0.1:1");
  await expect(askEndpoint(url, QUESTION)).rejects.toThrow(
    /^the proxy http:\/\/127\.0\.0\.1:1 \(http_proxy\) can't be reached: .*ECONNREFUSED.*NO_PROXY/,
  );
});
