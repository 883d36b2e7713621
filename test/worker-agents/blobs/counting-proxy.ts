import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Passes connections on to a server, and counts what goes through. */
export class CountingProxy {
  sentBytes = 0;
  receivedBytes = 0;
  /** Cuts the connection through which the answers pass this many bytes next; once. */
  cutAfterReceivedBytes = Infinity;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(target: URL) {
    this.#server = createServer((client) => {
      const server = connect(Number(target.port), target.hostname);
      for (const [socket, other] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => other.destroy());
      }
      client.on("data", (bytes) => {
        this.sentBytes += bytes.length;
        server.write(bytes);
      });
      server.on("data", (bytes) => {
        this.receivedBytes += bytes.length;
        if (this.receivedBytes > this.cutAfterReceivedBytes) {
          this.cutAfterReceivedBytes = Infinity;
          client.destroy();
        } else {
          client.write(bytes);
        }
      });
    });
  }

  static async start(target: URL): Promise<CountingProxy> {
    const proxy = new CountingProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): URL {
    // `address()` is a string for unix sockets only.
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("not listening on a port");
    return new URL(`http://127.0.0.1:${address.port}`);
  }

  /** What has gone through since the last time. */
  take(): { readonly sentBytes: number; readonly receivedBytes: number } {
    const { sentBytes, receivedBytes } = this;
    this.sentBytes = this.receivedBytes = 0;
    return { sentBytes, receivedBytes };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
