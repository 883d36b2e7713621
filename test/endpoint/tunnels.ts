import { connect } from "node:net";
import type { Duplex } from "node:stream";

/** What leads through a proxy to this machine. */
export class Tunnels {
  readonly #sockets = new Set<Duplex>();

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
