import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { ClientTls } from "../bridge/client-tls.ts";
import { errorMessage, Fault } from "./fault.ts";

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
}

/**
 * What reads the bridge's certificate anew each time; undefined without one.
 * @throws Fault, at once or when it reads, if a file can't be read, is not what it should be, or doesn't fit the others.
 */
export function clientTls({ tlsCert, tlsKey, clientCa }: TlsFlags): (() => ClientTls) | undefined {
  if (tlsCert === undefined && tlsKey === undefined && clientCa === undefined) return undefined;
  if (tlsCert === undefined) throw new Fault("--tls-key and --client-ca need --tls-cert, the bridge's certificate");
  if (tlsKey === undefined) throw new Fault("--tls-cert needs --tls-key, the certificate's private key");
  const read = (): ClientTls => {
    const cert = readPem("--tls-cert", tlsCert);
    const key = readPem("--tls-key", tlsKey);
    const ca = clientCa === undefined ? undefined : readPem("--client-ca", clientCa);
    try {
      createSecureContext({ cert, key, ...(ca !== undefined && { ca }) });
    } catch (error) {
      throw new Fault(`TLS can't be set up by --tls-cert, --tls-key and --client-ca (${errorMessage(error)})`);
    }
    return { cert, key, ...(ca !== undefined && { clientCa: ca }) };
  };
  read();
  return read;
}

/** @throws Fault if the file can't be read or is no PEM. */
export function readPem(flag: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Fault(`cannot read ${flag} (${errorMessage(error)})`);
  }
  if (text.includes("-----BEGIN ")) return text;
  throw new Fault(`${path} of ${flag} is no PEM file: it has no -----BEGIN line`);
}
