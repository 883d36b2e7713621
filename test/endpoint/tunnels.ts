import { once } from "node:events";
import { connect, type Server } from "node:net";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";

/** What leads through a proxy to this machine. */
export class Tunnels {
  readonly #sockets = new Set<Duplex>();

  /** Lets the proxy listen on this machine. It ends with the test, and the tunnels with it. */
  async serve(proxy: Server): Promise<void> {
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    onTestFinished(() => {
      this.cut();
      proxy.close();
    });
  }

  /** @param onOpen called before anything is passed on */
  open(port: number, client: Duplex, onOpen: (server: Duplex) => void): void {
    const server = connect({ port, host: "127.0.0.1", noDelay: true }, () => {
      onOpen(server);
      server.pipe(client).pipe(server);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined).once("close", () => other.destroy());
    }
  }

  /** Ends all of them. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not listening on a port");
  return address.port;
}
