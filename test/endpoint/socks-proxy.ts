import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { portOf, Tunnels } from "./tunnels.ts";

const IPV4 = 1;
const IPV6 = 4;

/** A SOCKS5 proxy (RFC 1928 and 1929) that leads to this machine, whatever it is asked for. It ends with the test. */
export class SocksProxy {
  /** Of each connection that was asked for, as `host:port`; addresses are in hexadecimal digits. */
  readonly asked: string[] = [];
  /** What it asks for as `user:password`. */
  credentials: string | undefined;
  /** The code with which it refuses every connection. */
  refuseWith: number | undefined;
  /** What it says of where it is bound: the kind of address and its bytes. */
  bound: readonly number[] = [IPV4, 0, 0, 0, 0];
  readonly #server: Server;
  readonly #tunnels = new Tunnels();

  private constructor() {
    this.#server = createServer((client) => {
      // With a listener of its own, `take` is told of what is new alone.
      client.on("error", () => undefined).on("readable", () => undefined);
      void this.#serve(client);
    });
  }

  static async start(): Promise<SocksProxy> {
    const proxy = new SocksProxy();
    await proxy.#tunnels.serve(proxy.#server);
    return proxy;
  }

  /** With the name looked up by the proxy. */
  get url(): string {
    return `socks5h://127.0.0.1:${portOf(this.#server)}`;
  }

  /** Ends every tunnel. */
  cut(): void {
    this.#tunnels.cut();
  }

  async #serve(client: Socket): Promise<void> {
    const [, count = 0] = await take(client, 2);
    const methods = await take(client, count);
    const method = this.credentials === undefined ? 0 : 2;
    if (!methods.includes(method)) {
      client.end(Uint8Array.of(5, 0xff));
      return;
    }
    client.write(Uint8Array.of(5, method));
    if (method === 2) {
      await take(client, 1);
      const user = await takeText(client);
      const isKnown = `${user}:${await takeText(client)}` === this.credentials;
      if (!isKnown) {
        client.end(Uint8Array.of(1, 1));
        return;
      }
      client.write(Uint8Array.of(1, 0));
    }
    const [, , , kind] = await take(client, 4);
    const host =
      kind === IPV4 || kind === IPV6
        ? (await take(client, kind === IPV4 ? 4 : 16)).toString("hex")
        : await takeText(client);
    const port = (await take(client, 2)).readUInt16BE();
    this.asked.push(`${host}:${port}`);
    const reply = Uint8Array.of(5, this.refuseWith ?? 0, 0, ...this.bound, 0, 0);
    client.removeAllListeners("readable");
    if (this.refuseWith !== undefined) client.end(reply);
    else this.#tunnels.open(port, client, () => client.write(reply));
  }
}

async function take(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes: unknown = socket.read(length);
    if (bytes instanceof Buffer) return bytes;
    await once(socket, "readable");
  }
}

async function takeText(socket: Socket): Promise<string> {
  const [length = 0] = await take(socket, 1);
  return length === 0 ? "" : (await take(socket, length)).toString();
}
