import { once } from "node:events";
import net, { type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A way between two machines that can be lost without either being told. */
export class FrozenProxy {
  readonly #sockets = new Set<Socket>();

  /** Returns the port that leads to `port` of this machine. */
  async start(port: number): Promise<number> {
    const server = net.createServer((near) => {
      const far = net.connect(port, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on("error", () => undefined).on("close", () => to.destroy());
        from.on("data", (chunk: Buffer) => to.write(chunk));
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      for (const socket of this.#sockets) socket.destroy();
      server.close();
    });
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** From now on nothing comes through. */
  freeze(): void {
    for (const socket of this.#sockets) socket.removeAllListeners("data").pause();
  }
}
