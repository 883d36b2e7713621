import { createHash } from "node:crypto";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError, Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { RetryInfoSchema } from "../../../protos/gen/google/rpc/error_details_pb.ts";
import { CONNECTION_PER_CALL } from "../../connection-per-call.ts";
import { type Clients, connectClients } from "../clients.ts";

export const ROLES = { "*": ["cache-writer", "operator", "agent"] };

/** An entry of `access.tokens`; the token is its name. */
export function tokenNamed(name: string, quota?: object, roles: object = ROLES): object {
  const sha256 = createHash("sha256").update(name).digest("hex");
  return { name, sha256, roles, ...(quota !== undefined && { quota }) };
}

/** The text of a configuration whose one instance is `main`. */
export function configOf(access: object): string {
  return JSON.stringify({
    stores: { MAIN_STORE: {} },
    schedulers: { M: {} },
    services: { execution: [{ instance_name: "main", scheduler: "M", cas_store: "MAIN_STORE" }] },
    access,
  });
}

/** Shows a token, if there is one. */
export function withToken(token: string | undefined): Interceptor {
  return (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

/** Clients with a token, or without one. */
export function clientsWith(url: string, token: string | undefined, createTransport = createGrpcWebTransport): Clients {
  const interceptors = [withToken(token)];
  return connectClients(url, createTransport({ baseUrl: url, ...CONNECTION_PER_CALL, interceptors }));
}

/** An HTTP request with a token. */
export function requestWith(url: string, token: string, init: Omit<RequestInit, "headers"> = {}): Promise<Response> {
  const headers = { connection: "close", authorization: `Bearer ${token}` };
  return fetch(url, { ...init, headers });
}

/** When a refusal says to try again; NaN if it doesn't. */
export function retryDelayMs(error: ConnectError): number {
  const [info] = error.findDetails(RetryInfoSchema);
  return info?.retryDelay === undefined ? NaN : durationMs(info.retryDelay);
}
