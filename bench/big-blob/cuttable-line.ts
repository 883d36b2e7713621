import { once } from "node:events";
import net, { type Server, type Socket } from "node:net";

/** A TCP connection's way between two parts, which can be cut. */
export class CuttableLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: () => number) {
    this.#server = net.createServer((near) => {
      const far = net.connect(port(), "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from
          .on("error", () => undefined)
          .once("close", () => {
            this.#sockets.delete(from);
            to.destroy();
          });
        from.pipe(to);
      }
    });
  }

  /** @param port of this machine, to which new connections lead; asked for each */
  static async open(port: () => number): Promise<CuttableLine> {
    const line = new CuttableLine(port);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("a line that is open has a port");
    return address.port;
  }

  /** Resets every connection that there is now. New ones come through. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    this.cut();
  }
}
