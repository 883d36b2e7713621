import { once } from "node:events";
import { rm } from "node:fs/promises";
import net, { type Server } from "node:net";
import { describeError } from "../endpoint/describe-error.ts";

/** Where clients reach the bridge: a TCP port (0 for any free one), or a Unix socket, or on Windows a named pipe. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Starts to listen. The file of a Unix socket that nobody listens on any more is replaced.
 * @throws Error, with a message for a person
 */
export async function listenOn(server: Server, address: ListenAddress): Promise<void> {
  try {
    await tryListen(server, address);
  } catch (error) {
    if ("path" in address && codeOf(error) === "EADDRINUSE" && (await isStale(address.path))) {
      await rm(address.path);
      await listenOn(server, address);
      return;
    }
    throw new Error(`the bridge can't listen on ${describeAddress(address)}: ${whyNot(error, address)}`, {
      cause: error,
    });
  }
}

export function describeAddress(address: ListenAddress): string {
  return "path" in address ? `unix:${address.path}` : `${address.host}:${address.port}`;
}

async function tryListen(server: Server, address: ListenAddress): Promise<void> {
  server.listen(address);
  await once(server, "listening");
}

/** Whether the socket's file was left behind by a process that ended without removing it. */
async function isStale(path: string): Promise<boolean> {
  const socket = net.connect({ path });
  try {
    await once(socket, "connect");
    return false;
  } catch (error) {
    return codeOf(error) === "ECONNREFUSED";
  } finally {
    socket.destroy();
  }
}

function whyNot(error: unknown, address: ListenAddress): string {
  const port = "port" in address;
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `the ${port ? "port" : "socket"} is in use; stop what listens there, or choose another`;
    case "EACCES":
      return port
        ? "this user may not use the port; choose one above 1023"
        : "there is no such directory, or this user may not create a file in it";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "this machine has no such address";
    default:
      return describeError(error);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
