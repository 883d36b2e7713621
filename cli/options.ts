import { InvalidArgumentError, Option } from "commander";

/** An option that takes a TCP port; 0 is any free one. */
export function portOption(flag: string, what: string, byDefault: number, variable: string): Option {
  return new Option(`${flag} <port>`, `${what}; 0 for any free one`)
    .default(byDefault)
    .env(variable)
    .argParser(parsePort);
}

/** `--endpoint`: where the Worker is. */
export function endpointOption(): Option {
  return new Option("--endpoint <url>", "where the Worker is, e.g. https://remex.example.com")
    .makeOptionMandatory()
    .env("REMEX_ENDPOINT")
    .argParser(parseEndpoint);
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError("A port is a number from 0 to 65535.");
  return port;
}

/** @param least is the least number that is taken */
export function parseWholeNumberFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least}.`);
  };
}

export const parsePositiveInteger = parseWholeNumberFrom(1);

/** A TCP port, or the path of a Unix socket. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** `host:port`, `[::1]:port`, a port alone, which means this machine only, or `unix:` and a path. */
export function parseListenAddress(text: string): ListenAddress {
  const [, path] = /^unix:(.+)$/s.exec(text) ?? [];
  if (path !== undefined) return { path };
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("It is host:port, [address]:port, a port alone or unix:/path.");
  const [, address, name, port = ""] = match;
  return { host: address ?? name ?? "127.0.0.1", port: parsePort(port) };
}

export function parseEndpoint(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new InvalidArgumentError("It is a URL that starts with https:// (or http:// on a trusted network).");
  }
  return url;
}
