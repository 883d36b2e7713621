import { type ClientRequest, request as openRequest, type IncomingMessage } from "node:http";

/** A POST whose body has begun, and is not at its end. */
export interface UnfinishedRequest {
  /** To be written to, or destroyed. */
  readonly sent: ClientRequest;
  /** What was answered already. */
  readonly response: IncomingMessage;
}

/** Sends a POST and the first `bytes` of its body, and waits for the head of the answer. */
export async function postUnfinished(
  url: string,
  bytes: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<UnfinishedRequest> {
  const sent = openRequest(url, { method: "POST", agent: false, headers });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve).once("error", reject);
    sent.write(Buffer.alloc(bytes));
  });
  return { sent, response };
}
