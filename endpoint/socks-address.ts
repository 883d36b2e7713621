import { isIPv4, isIPv6 } from "node:net";

export const IPV4 = 1;
export const DOMAIN_NAME = 3;
export const IPV6 = 4;

/** A host as SOCKS5 has it: what it is, and its bytes (RFC 1928, section 5). A name has at most 255, as in DNS. */
export function encodeHost(host: string): number[] {
  if (isIPv4(host)) return [IPV4, ...host.split(".").map(Number)];
  if (isIPv6(host)) return [IPV6, ...ipv6Bytes(host)];
  const name = Buffer.from(host);
  if (name.length > 0xff) throw new Error(`${host} is no host's name`);
  return [DOMAIN_NAME, name.length, ...name];
}

function ipv6Bytes(address: string): number[] {
  // A URL has an address in its one form: groups alone, and no IPv4 at its end.
  const [head = [], tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::").map(groups);
  const zeros = Array.from({ length: 8 - head.length - (tail?.length ?? 0) }, () => 0);
  return [...head, ...zeros, ...(tail ?? [])].flatMap((group) => [group >> 8, group & 0xff]);
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}
