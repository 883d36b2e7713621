import { ProxyVariableError } from "../endpoint/proxy-for.ts";
import { errorMessage, Fault } from "./fault.ts";

/** `host:port` as a client on this machine writes it. */
export function clientAddress(host: string, port: number): string {
  const here = ["127.0.0.1", "::1", "0.0.0.0", "::", "localhost"].includes(host);
  return `${here ? "localhost" : host.includes(":") ? `[${host}]` : host}:${port}`;
}

/**
 * What `listen` returns.
 * @param flag what chooses the address, for the message
 * @throws Fault with the message of what `listen` throws, unless that is a ProxyVariableError, which names what is wrong.
 */
export async function explainListenFault<T>(flag: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen();
  } catch (error) {
    if (error instanceof ProxyVariableError) throw error;
    throw new Fault(`${errorMessage(error)} (${flag})`);
  }
}
