import type { ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { retryAfterMsOf } from "./retry-info.ts";

/** An error as the answer to a request that is no call: its message as text, and when to try again. */
export function refusalResponse(error: ConnectError): Response {
  const headers = new Headers();
  const retryAfterMs = retryAfterMsOf(error);
  if (retryAfterMs !== undefined) headers.set("retry-after", String(Math.ceil(retryAfterMs / 1000)));
  return new Response(`${error.rawMessage}\n`, { status: codeToHttpStatus(error.code), headers });
}
