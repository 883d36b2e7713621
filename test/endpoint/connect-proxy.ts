import { createServer, type Server } from "node:http";
import { onTestFinished, vi } from "vitest";
import { portOf, Tunnels } from "./tunnels.ts";

/** A name that no name server knows: what reaches it went through the proxy. */
export const PROXIED_HOST = "endpoint.test";

/** A proxy that opens tunnels to this machine, whatever the host's name, and nothing else. It ends with the test. */
export class ConnectProxy {
  /** Of each tunnel that was asked for, as `host:port`. */
  readonly asked: string[] = [];
  /** What it asks for as `user:password`. */
  credentials: string | undefined;
  /** The status with which it refuses every tunnel. */
  refuseWith: number | undefined;
  readonly #server: Server;
  readonly #tunnels = new Tunnels();

  private constructor() {
    this.#server = createServer((_request, response) => {
      response.writeHead(405).end();
    });
    this.#server.on("connect", ({ url = "", headers }, client, head) => {
      this.asked.push(url);
      const basic = `Basic ${Buffer.from(this.credentials ?? "").toString("base64")}`;
      const isKnown = this.credentials === undefined || headers["proxy-authorization"] === basic;
      const status = isKnown ? this.refuseWith : 407;
      if (status !== undefined) client.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      else {
        this.#tunnels.open(Number(url.split(":").at(-1)), client, (server) => {
          client.write("HTTP/1.1 200 Connection established\r\n\r\n");
          server.write(head);
        });
      }
    });
  }

  static async start(): Promise<ConnectProxy> {
    const proxy = new ConnectProxy();
    await proxy.#tunnels.serve(proxy.#server);
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  /** Ends every tunnel. */
  cut(): void {
    this.#tunnels.cut();
  }
}

/** Names a proxy in the environment, for the time of a test. */
export function useProxy(url: string): void {
  for (const name of ["http_proxy", "https_proxy"]) vi.stubEnv(name, url);
  vi.stubEnv("no_proxy", "");
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
}

/** Where the endpoint at `url` of this machine is said to be, for those who go through a proxy. */
export function proxied(url: URL): URL {
  return new URL(`${url.protocol}//${PROXIED_HOST}:${url.port}${url.pathname}`);
}
