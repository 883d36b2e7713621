import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { describeError } from "./describe-error.ts";
import { ProxyError, TUNNEL_TIMEOUT_MS, unauthorized, unreachable } from "./proxy-error.ts";
import { type Credentials, credentialsOf, describeProxy, type Proxy } from "./proxy-for.ts";
import { DOMAIN_NAME, encodeHost, IPV4, IPV6 } from "./socks-address.ts";

const DEFAULT_PORT = 1080;

const VERSION = 5;
const CONNECT = 1;
const NO_AUTHENTICATION = 0;
const USER_AND_PASSWORD = 2;
const NONE_ACCEPTABLE = 0xff;
/** Of the exchange of user and password (RFC 1929). */
const AUTHENTICATION_VERSION = 1;

const NOT_ALLOWED = 2;

/** Why a proxy could not connect, by the code of its reply. */
const FAILURES: ReadonlyMap<number, string> = new Map([
  [1, "general failure"],
  [3, "the network is unreachable"],
  [4, "the host is unreachable"],
  [5, "the connection was refused"],
  [6, "the time to live expired"],
  [7, "it knows no CONNECT"],
  [8, "it does not know this kind of address"],
]);

/**
 * Has a SOCKS5 proxy connect to a host (RFC 1928). With `socks5h:` the proxy looks up the host's name, with `socks5:` this
 * machine does.
 * @returns a socket that leads there, in clear text so far
 * @throws ProxyError
 */
export async function openSocksTunnel(proxy: Proxy, host: string, port: number): Promise<Socket> {
  const wanted = await hostToAskFor(proxy, host);
  const { url } = proxy;
  const socket = connect({
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    noDelay: true,
  });
  const conversation = new Conversation(socket);
  try {
    await conversation.happens("connect");
    await authenticate(conversation, proxy, credentialsOf(proxy));
    conversation.say([VERSION, CONNECT, 0, ...encodeHost(wanted), port >> 8, port & 0xff]);
    await expectConnection(conversation, proxy, `${host.includes(":") ? `[${host}]` : host}:${port}`);
  } catch (error) {
    socket.destroy();
    throw error instanceof ProxyError ? error : unreachable(proxy, error);
  } finally {
    conversation.end();
  }
  return socket;
}

async function hostToAskFor(proxy: Proxy, host: string): Promise<string> {
  if (proxy.url.protocol === "socks5h:" || isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new ProxyError(
      `${describeProxy(proxy)} was not asked: this machine can't look up ${host} (${describeError(error)}); with ` +
        "socks5h:// the proxy does",
      { cause: error },
    );
  }
}

async function authenticate(
  conversation: Conversation,
  proxy: Proxy,
  credentials: Credentials | undefined,
): Promise<void> {
  const methods = credentials === undefined ? [NO_AUTHENTICATION] : [NO_AUTHENTICATION, USER_AND_PASSWORD];
  conversation.say([VERSION, methods.length, ...methods]);
  const [version, method] = await conversation.hear(2);
  if (version !== VERSION) throw new Error("it does not speak SOCKS5");
  if (method === NO_AUTHENTICATION) return;
  if (method === NONE_ACCEPTABLE) throw unauthorized(proxy, credentials !== undefined);
  if (method !== USER_AND_PASSWORD || credentials === undefined) throw new Error("it does not keep to SOCKS5");

  conversation.say([AUTHENTICATION_VERSION, ...counted(credentials.user), ...counted(credentials.password)]);
  const [, status] = await conversation.hear(2);
  if (status !== 0) throw unauthorized(proxy, true);
}

function counted(text: string): number[] {
  const bytes = Buffer.from(text);
  if (bytes.length > 0xff) throw new Error("SOCKS5 has no room for a user or password of more than 255 bytes");
  return [bytes.length, ...bytes];
}

async function expectConnection(conversation: Conversation, proxy: Proxy, authority: string): Promise<void> {
  const [version, reply = 0, , kind] = await conversation.hear(4);
  if (version !== VERSION) throw new Error("it does not keep to SOCKS5");
  if (reply === NOT_ALLOWED) {
    throw new ProxyError(`${describeProxy(proxy)} refuses to connect to ${authority}: have it allowed there`);
  }
  if (reply !== 0) {
    const why = FAILURES.get(reply) ?? `code ${reply}`;
    throw new ProxyError(`${describeProxy(proxy)} can't connect to ${authority} (${why})`);
  }
  // From which address and port the proxy does so is of no use.
  await conversation.hear((await boundHostBytes(conversation, kind)) + 2);
}

async function boundHostBytes(conversation: Conversation, kind: number | undefined): Promise<number> {
  switch (kind) {
    case IPV4:
      return 4;
    case IPV6:
      return 16;
    case DOMAIN_NAME:
      return (await conversation.hear(1))[0] ?? 0;
    default:
      throw new Error("it does not keep to SOCKS5");
  }
}

/** What is said to a proxy and heard of it, within the time that it has. Every wait ends with an error when that is over. */
class Conversation {
  readonly #socket: Socket;
  readonly #over = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #fail = (why: Error): void => {
    this.#over.abort(why);
  };
  readonly #onClose = (): void => {
    this.#over.abort(new Error("it closed the connection"));
  };
  /** Beside it those that wait for more hear of that alone. Without it each would be told anew of what has come already. */
  readonly #onReadable = (): void => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const late = new Error(`no answer within ${TUNNEL_TIMEOUT_MS / 1000} s`);
    this.#timer = setTimeout(this.#fail, TUNNEL_TIMEOUT_MS, late);
    socket.on("error", this.#fail).on("close", this.#onClose).on("readable", this.#onReadable);
  }

  async happens(event: "connect" | "readable"): Promise<void> {
    const { signal } = this.#over;
    try {
      await once(this.#socket, event, { signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    }
  }

  say(bytes: readonly number[]): void {
    this.#socket.write(Uint8Array.from(bytes));
  }

  /** The next bytes, and none of those behind them, which may be the host's. */
  async hear(length: number): Promise<Uint8Array> {
    for (;;) {
      const bytes: unknown = this.#socket.read(length);
      if (bytes instanceof Uint8Array && bytes.length === length) return bytes;
      // At its end a stream gives what is left.
      if (bytes !== null) throw new Error("it closed the connection");
      await this.happens("readable");
    }
  }

  /** Leaves the socket to others. */
  end(): void {
    clearTimeout(this.#timer);
    this.#socket.off("error", this.#fail).off("close", this.#onClose).off("readable", this.#onReadable);
  }
}
