import { BlockList, isIP } from "node:net";

/** How a proxy may be spoken to. */
const PROTOCOLS = ["http:", "https:", "socks5:", "socks5h:"];

/** A proxy that the environment names. */
export interface Proxy {
  /** Of one of the `PROTOCOLS`; its user and password, if it has some, are the proxy's credentials. */
  readonly url: URL;
  /** The variable that names it. */
  readonly variable: string;
}

/** Thrown for a variable that names no proxy. */
export class ProxyVariableError extends Error {
  override readonly name = "ProxyVariableError";
}

/** A machine's names for itself: no proxy leads there. */
const LOOPBACK = /^(?:localhost|127\.[\d.]+|\[::1\])$/;

/**
 * The proxy through which an endpoint is reached, by the variables that other programs know too: `https_proxy` or
 * `http_proxy`, after the endpoint's scheme, else `all_proxy`, each in lower or upper case, unless `no_proxy` names the
 * endpoint. Undefined if it is reached directly.
 * @throws ProxyVariableError if the variable's value is no URL of a proxy
 */
export function proxyFor(endpoint: URL, environment: NodeJS.ProcessEnv): Proxy | undefined {
  if (LOOPBACK.test(endpoint.hostname)) return undefined;
  const isSecure = endpoint.protocol === "https:" || endpoint.protocol === "wss:";
  const names = [isSecure ? "https_proxy" : "http_proxy", "all_proxy"];
  const variable = names.flatMap((name) => [name, name.toUpperCase()]).find((name) => isSet(environment[name]));
  if (variable === undefined) return undefined;
  const exceptions = environment["no_proxy"] ?? environment["NO_PROXY"] ?? "";
  if (isExcepted(endpoint, isSecure ? "443" : "80", exceptions)) return undefined;
  return { url: proxyUrl(variable, environment[variable] ?? ""), variable };
}

/** What a proxy is told of who asks. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Undefined if the proxy's URL has none. */
export function credentialsOf({ url: { username, password } }: Proxy): Credentials | undefined {
  if (username === "" && password === "") return undefined;
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
}

/** The proxy without its credentials, as it may be printed and logged. */
export function describeProxy({ url, variable }: Proxy): string {
  return `the proxy ${url.protocol}//${url.host} (${variable})`;
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "";
}

function proxyUrl(variable: string, value: string): URL {
  const text = value.includes("://") ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && PROTOCOLS.includes(url.protocol) && url.hostname !== "") return url;
  // Not the value itself: it may hold a password.
  const known = PROTOCOLS.map((protocol) => `${protocol}//`).join(", ");
  throw new ProxyVariableError(
    `${variable} is no URL of a proxy, as http://host:port; Remex knows those that begin with ${known}`,
  );
}

/**
 * @param list names, separated by commas or spaces: `*` is every host, `example.com` or `.example.com` that one and all
 * below it, `10.0.0.0/8` addresses; each may have a `:port`
 */
function isExcepted({ hostname, port }: URL, defaultPort: string, list: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      const [, name = "", onlyPort] = /^(\[[^\]]*\]|[^:]*|[^:]*:[^:]*:.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (onlyPort !== undefined && onlyPort !== (port === "" ? defaultPort : port)) return false;
      return isNamed(host, name.replace(/^\[(.*)\]$/, "$1"));
    });
}

function isNamed(host: string, name: string): boolean {
  if (name === "*") return true;
  if (isIP(host) !== 0) return host === name || isWithin(host, name);
  const domain = name.replace(/^\*?\./, "");
  return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
}

function isWithin(address: string, range: string): boolean {
  const [network = "", prefix = ""] = range.split("/");
  const bits = isIP(network) === 6 ? 128 : 32;
  if (isIP(network) === 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) return false;
  const addresses = new BlockList();
  addresses.addSubnet(network, Number(prefix), isIP(network) === 6 ? "ipv6" : "ipv4");
  return addresses.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
