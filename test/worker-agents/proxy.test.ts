import { expect, it } from "vitest";
import { ConnectProxy, PROXIED_HOST, proxied, useProxy } from "../endpoint/connect-proxy.ts";
import { SocksProxy } from "../endpoint/socks-proxy.ts";
import { shell } from "./leases.ts";
import { runAction } from "./run-action.ts";
import { startAgent, startPeer } from "./running-agent.ts";

it.each([
  ["an HTTP", () => ConnectProxy.start()],
  ["a SOCKS", () => SocksProxy.start()],
])(
  "an agent that only %s proxy lets out keeps its socket through it, and reads and writes blobs",
  async (_kind, start) => {
    const proxy = await start();
    useProxy(proxy.url);
    const peer = await startPeer();

    const agent = await startAgent({ endpoint: proxied(peer.endpoint) }, peer);
    const ran = await runAction(agent, { command: shell("cat input"), inputs: { input: "through the proxy" } });

    expect(ran).toMatchObject({ exitCode: 0, stdout: "through the proxy" });
    expect(new Set(proxy.asked)).toEqual(new Set([`${PROXIED_HOST}:${peer.endpoint.port}`]));
    // The socket, and the blobs beside it.
    expect(proxy.asked.length).toBeGreaterThan(1);
  },
);

it("an agent comes back through a proxy that was away", async () => {
  const proxy = await ConnectProxy.start();
  useProxy(proxy.url);
  const peer = await startPeer();
  await startAgent({ endpoint: proxied(peer.endpoint) }, peer);

  proxy.refuseWith = 503;
  proxy.cut();
  const tunnels = proxy.asked.length;
  await expect.poll(() => proxy.asked.length).toBeGreaterThan(tunnels);
  proxy.refuseWith = undefined;

  expect((await peer.welcomed()).hello.name).toBe("test-agent");
});
